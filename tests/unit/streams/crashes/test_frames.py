"""Each runtime's traces are read into the same calls, and whose code they are is known."""

from __future__ import annotations

import pytest

from streams.crashes.frames import read_trace
from streams.crashes.runtimes import GRAMMARS, runtime_of

PYTHON = """Traceback (most recent call last):
  File "/srv/checkout/1.5.0/.venv/lib/python3.11/site-packages/starlette/routing.py", line 7, in app
    await handle(request)
  File "/srv/checkout/1.5.0/shop/cart.py", line 88, in total
    return prices[item] * 2
KeyError: 'gift-card'
"""
JAVA = """java.lang.RuntimeException: checkout failed
\tat shop.web.CheckoutController.lambda$post$7(CheckoutController.java:31)
\tat java.base/java.util.Optional.map(Optional.java:260)
\tat org.springframework.web.servlet.FrameworkServlet.service(FrameworkServlet.java:897)
Caused by: java.lang.NullPointerException: price
\tat shop.cart.Cart$$EnhancerBySpringCGLIB$$3f9a1c2b.total(<generated>)
\t... 42 more
"""
KOTLIN = """kotlin.UninitializedPropertyAccessException: lateinit property cart
\tat shop.CartKt.total(Cart.kt:12)
\tat kotlinx.coroutines.DispatchedTask.run(DispatchedTask.kt:106)
"""
V8 = """TypeError: Cannot read properties of undefined (reading 'price')
    at Cart.total (/srv/checkout/1.5.0/src/cart.js:12:9)
    at async /srv/checkout/1.5.0/src/server.js:40:3
    at next (/srv/checkout/node_modules/express/lib/router/index.js:256:14)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
"""
FIREFOX = """TypeError: cart is undefined
total@https://shop.example/assets/cart.3f9a1c2b.js:12:9
render/<@https://shop.example/assets/cart.3f9a1c2b.js:40:3
"""
SAFARI = """total@https://shop.example/assets/cart.3f9a1c2b.js:12:9
map@[native code]
https://shop.example/assets/cart.3f9a1c2b.js:40:3
"""
GO = """panic: runtime error: index out of range [3] with length 3

goroutine 17 [running]:
shop/cart.(*Cart).Total(0xc000010000, 0x3)
\t/build/1.5.0/cart/cart.go:31 +0x1d
main.serve.func1()
\t/build/1.5.0/main.go:12 +0x25
net/http.HandlerFunc.ServeHTTP(0x13e5128, {0x2afb7042a408, 0xc01042f880})
\t/usr/local/go/src/net/http/server.go:2136 +0x29
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3086 +0x5cb

goroutine 1 [chan receive]:
main.wait(0x1)
\t/build/1.5.0/main.go:99 +0x25
"""
RUBY = """app/models/cart.rb:31:in `block in total': no method `price' for nil (NoMethodError)
\tfrom app/models/cart.rb:30:in `total'
\tfrom /usr/lib/ruby/gems/3.2.0/gems/rack-3.0/lib/rack/builder.rb:9:in `call'
"""
CSHARP = """System.InvalidOperationException: no price ---> System.NullReferenceException: cart
   at Shop.Cart.<TotalAsync>d__2.MoveNext() in /build/1.5.0/Cart.cs:line 31
   at System.Runtime.CompilerServices.TaskAwaiter.GetResult()
   at Shop.Web.Checkout.<>c__DisplayClass1_0.<Post>b__0(Item item) in /build/Checkout.cs:line 12
"""
PHP = """PHP Fatal error:  Uncaught TypeError: bad price in /srv/shop/Cart.php:31
Stack trace:
#0 /srv/shop/Checkout.php(12): Shop\\Cart->total(Array)
#1 /srv/shop/vendor/symfony/http-kernel/HttpKernel.php(7): Shop\\Checkout::{closure}()
#2 {main}
"""
DART = """Unhandled exception:
RangeError (index): Invalid value: 3
#0      Cart.total (package:shop/cart.dart:31:9)
#1      main.<anonymous closure> (file:///build/1.5.0/main.dart:12:3)
#2      _startIsolate.<anonymous closure> (dart:isolate-patch/isolate_patch.dart:265)
"""
RUST = """thread 'main' panicked at src/cart.rs:31:9:
index out of bounds
stack backtrace:
   0: rust_begin_unwind
             at /rustc/0000/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
   2: shop::cart::Cart::total::h0123456789abcdef
             at ./src/cart.rs:31:9
   3: shop::main::{{closure}}
   4: std::rt::lang_start
"""
NATIVE = """==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010
READ of size 4 at 0x602000000010 thread T0
    #0 0x55d0c1 in shop::Cart<int>::total(std::vector<int> const&) /build/1.5.0/cart.cc:31:9
    #1 0x55d0c2 in main /build/1.5.0/main.cc:12:3
    #2 0x7f0001 in __libc_start_main (/lib/x86_64-linux-gnu/libc.so.6+0x29d8f) (BuildId: 1234)

0x602000000010 is located 0 bytes inside of 16-byte region
freed by thread T0 here:
    #0 0x55d0c3 in free (/build/1.5.0/shop+0x99)
"""

IN_APP = {
    "python": (PYTHON, ["cart.total"]),
    "java": (JAVA, ["shop.web.CheckoutController.post.<lambda>", "shop.cart.Cart.total"]),
    "kotlin": (KOTLIN, ["shop.CartKt.total"]),
    "node": (V8, ["server.<lambda>", "cart.total"]),
    "firefox": (FIREFOX, ["cart.<lambda>", "cart.total"]),
    "safari": (SAFARI, ["cart.<lambda>", "cart.total"]),
    "go": (GO, ["main.serve.<lambda>", "shop/cart.(*Cart).Total"]),
    "ruby": (RUBY, ["cart.total", "cart.total"]),
    "csharp": (CSHARP, ["Shop.Web.Checkout.Post.<lambda>", "Shop.Cart.TotalAsync"]),
    "php": (PHP, ["Shop\\Checkout.<lambda>", "Shop\\Cart.total"]),
    "native": (NATIVE, ["main", "shop::Cart::total"]),
    "dart": (DART, ["main.main.<lambda>", "cart.Cart.total"]),
    "rust": (RUST, ["shop::main.<lambda>", "shop::cart::Cart.total"]),
}


@pytest.mark.parametrize("name", IN_APP)
def test_in_app_calls_are_read_outermost_first(name: str) -> None:
    """Calls of the user's own code come out clean, in order, and nothing of a framework does."""
    text, expected = IN_APP[name]
    calls = read_trace(runtime_of("", text), text).calls
    assert [call.name for call in calls if call.is_in_app] == expected


@pytest.mark.parametrize(
    ("name", "runtime"),
    [
        ("kotlin", "java"),
        ("node", "javascript"),
        ("firefox", "javascript"),
        ("safari", "javascript"),
    ]
    + [(name, name) for name in GRAMMARS if name != "javascript"],
)
def test_a_trace_is_recognised_without_being_told_its_runtime(name: str, runtime: str) -> None:
    """The text alone says which runtime wrote it."""
    assert runtime_of("", IN_APP[name][0]) == runtime


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("python", ["KeyError"]),
        ("java", ["java.lang.RuntimeException", "java.lang.NullPointerException"]),
        ("node", ["TypeError"]),
        ("go", ["panic"]),
        ("ruby", ["NoMethodError"]),
        ("php", ["TypeError"]),
        ("dart", ["RangeError (index)"]),
        ("rust", ["panic"]),
    ],
)
def test_the_exceptions_of_a_chain_are_read(name: str, types: list[str]) -> None:
    """Every exception of a chain is named, in the order of the text."""
    text = IN_APP[name][0]
    assert [raised.type for raised in read_trace(runtime_of("", text), text).raised] == types


def test_other_goroutines_do_not_count() -> None:
    """Only the goroutine that crashed is read: what the others did is chance."""
    assert "main.wait" not in [call.name for call in read_trace("go", GO).calls]


@pytest.mark.parametrize("text", ["", "\x00\xff", "at (", "#0 ", '  File "x', "a" * 100_000])
@pytest.mark.parametrize("runtime", [*GRAMMARS, "cobol"])
def test_garbage_is_read_as_nothing_or_little_and_never_raises(runtime: str, text: str) -> None:
    """No text breaks the reader."""
    assert len(read_trace(runtime, text).calls) <= 1
