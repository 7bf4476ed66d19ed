"""One crash in many builds, hosts and runs is one group; its near misses are others."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.records import Crash
from streams.crashes.group import group_of


class Case(NamedTuple):
    """A trace, the replacements that leave its group as it is, and those that do not."""

    text: str
    same: tuple[tuple[str, str], ...]
    other: tuple[tuple[str, str], ...]


CASES = {
    "python": Case(
        """Traceback (most recent call last):
  File "/srv/shop/1.5.0/.venv/lib/python3.11/site-packages/flask/app.py", line 7, in wsgi_app
    response = self.full_dispatch_request()
  File "/srv/shop/1.5.0/shop/cart.py", line 88, in total
    return prices[item]
KeyError: 'gift-card'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/srv/shop/1.5.0/shop/web.py", line 12, in post
    total(cart)
shop.errors.CheckoutError: cart 4711
""",
        (
            ("line 88", "line 91"),
            ("/srv/shop/1.5.0/", "/home/ci/releases/20261125/"),
            ("/srv/shop/1.5.0/.venv/lib/python3.11/", "/usr/local/lib/python3.13/"),
            ("/srv/shop/1.5.0/shop/", "C:\\\\shop\\\\1.5.0\\\\shop\\\\"),
            ("cart 4711", "cart 12 of bob"),
            ("'gift-card'", "'voucher'"),
        ),
        (("in total", "in taxes"), ("KeyError", "IndexError"), ("CheckoutError", "StockError")),
    ),
    "java": Case(
        """java.lang.RuntimeException: checkout 17 failed
\tat shop.web.Checkout.lambda$post$7(Checkout.java:31)
\tat java.base/java.util.Optional.map(Optional.java:260)
\tat shop.web.Checkout$$EnhancerBySpringCGLIB$$3f9a1c2b.post(<generated>)
\tat jdk.internal.reflect.GeneratedMethodAccessor12.invoke(Unknown Source)
Caused by: java.lang.NullPointerException: price
\tat shop.cart.Cart.total(Cart.java:12)
\t... 42 more
""",
        (
            ("Checkout.java:31", "Checkout.java:39"),
            ("lambda$post$7", "lambda$post$12"),
            ("$$3f9a1c2b", "$$99aa00ff"),
            ("GeneratedMethodAccessor12", "GeneratedMethodAccessor993"),
            ("checkout 17", "checkout 18"),
            ("... 42 more", "... 57 more"),
            ("java.base/", "java.base@21.0.1/"),
            ("\tat ", "    at "),
        ),
        (
            ("Cart.total", "Cart.taxes"),
            ("NullPointerException", "IllegalStateException"),
            ("java.lang.RuntimeException", "java.io.IOException"),
        ),
    ),
    "node": Case(
        """TypeError: Cannot read properties of undefined (reading 'price')
    at Cart.total (/srv/shop/1.5.0/src/cart.js:12:9)
    at async checkout (/srv/shop/1.5.0/src/checkout.js:40:3)
    at next (/srv/shop/1.5.0/node_modules/express/lib/router/index.js:256:14)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
""",
        (
            ("cart.js:12:9", "cart.js:14:1"),
            ("/srv/shop/1.5.0/", "/app/"),
            ("/srv/shop/1.5.0/src/", "C:\\\\shop\\\\src\\\\"),
            ("task_queues:95:5", "task_queues:103:5"),
            ("'price'", "'tax'"),
            ("async checkout", "checkout"),
        ),
        (("Cart.total", "Cart.taxes"), ("TypeError", "RangeError"), ("cart.js", "stock.js")),
    ),
    "browser": Case(
        """TypeError: cart is undefined
    at total (https://shop.example/assets/cart.3f9a1c2b.js:12:9)
    at checkout (https://shop.example/assets/cart.3f9a1c2b.js:40:3)
""",
        (
            ("3f9a1c2b", "00ffee11"),
            ("shop.example", "cdn.shop.example"),
            ("cart is undefined", "undefined is not an object (evaluating 'cart.total')"),
            (
                "    at total (https://shop.example/assets/cart.3f9a1c2b.js:12:9)",
                "total@https://shop.example/assets/cart.3f9a1c2b.js:13:7",
            ),
        ),
        (("at total", "at taxes"), ("TypeError", "SyntaxError")),
    ),
    "go": Case(
        """panic: runtime error: index out of range [3] with length 3

goroutine 17 [running]:
shop/cart.(*Cart).Total(0xc000010000, 0x3)
\t/build/1.5.0/cart/cart.go:31 +0x1d
main.serve.func1()
\t/build/1.5.0/main.go:12 +0x25
created by net/http.(*Server).Serve in goroutine 1
\t/usr/local/go/src/net/http/server.go:3086 +0x5cb
""",
        (
            ("0xc000010000", "0xc0000aa008"),
            ("cart.go:31 +0x1d", "cart.go:33 +0x2f"),
            ("/build/1.5.0/", "/home/ci/src/"),
            ("goroutine 17", "goroutine 90210"),
            ("[3] with length 3", "[9] with length 4"),
            ("serve.func1", "serve.func2"),
        ),
        (("Total(", "Taxes("), ("panic: ", "fatal error: "), ("(*Cart)", "(*Stock)")),
    ),
    "rust": Case(
        """thread 'main' panicked at src/cart.rs:31:9:
index out of bounds: the len is 3 but the index is 7
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b43126469e3858e2fe86cafb4f0fd5068869/library/std/src/panicking.rs:665:5
   1: core::panicking::panic_fmt
   2: shop::cart::Cart::total::h0123456789abcdef
             at ./src/cart.rs:31:9
   3: shop::main::{{closure}}
   4: std::rt::lang_start
""",
        (
            ("h0123456789abcdef", "hfedcba9876543210"),
            ("cart.rs:31:9", "cart.rs:44:1"),
            ("9fc6b431", "00001111"),
            ("index is 7", "index is 9"),
            ("{{closure}}", "{closure#0}"),
            ("'main'", "'worker-3'"),
        ),
        (("Cart::total", "Cart::taxes"), ("Cart::total", "Stock::total")),
    ),
    "csharp": Case(
        """System.InvalidOperationException: no price 17 ---> System.NullReferenceException: cart
   at Shop.Cart.<TotalAsync>d__2.MoveNext() in /build/1.5.0/Cart.cs:line 31
   at System.Runtime.CompilerServices.TaskAwaiter.GetResult()
   at Shop.Web.<>c__DisplayClass1_0.<Post>b__0(Item item) in /build/1.5.0/Web.cs:line 12
""",
        (
            ("line 31", "line 42"),
            ("/build/1.5.0/", "D:\\\\a\\\\shop\\\\"),
            ("d__2", "d__17"),
            ("DisplayClass1_0", "DisplayClass4_2"),
            ("b__0", "b__3"),
            (" in /build/1.5.0/Cart.cs:line 31", ""),
            ("no price 17", "no price 18"),
        ),
        (
            ("TotalAsync", "TaxesAsync"),
            ("InvalidOperationException", "ArgumentException"),
        ),
    ),
    "php": Case(
        """PHP Fatal error:  Uncaught TypeError: bad price 7 in /srv/shop/1.5.0/Cart.php:31
Stack trace:
#0 /srv/shop/1.5.0/Checkout.php(12): Shop\\Cart->total(Array)
#1 /srv/shop/1.5.0/vendor/symfony/http-kernel/HttpKernel.php(7): Shop\\Checkout::{closure}()
#2 {main}
""",
        (
            ("Cart.php:31", "Cart.php:35"),
            ("(12)", "(19)"),
            ("/srv/shop/1.5.0/", "/var/www/html/"),
            ("(Array)", "(Object(Shop\\\\Item), 7)"),
            ("bad price 7", "bad price 8"),
        ),
        (("->total", "->taxes"), ("TypeError", "ValueError"), ("Shop\\Cart", "Shop\\\\Stock")),
    ),
    "ruby": Case(
        """/srv/shop/1.5.0/app/models/cart.rb:31:in `block in total': no method (NoMethodError)
\tfrom /srv/shop/1.5.0/app/models/checkout.rb:30:in `post'
\tfrom /usr/lib/ruby/gems/3.2.0/gems/rack-3.0/lib/rack/builder.rb:9:in `call'
""",
        (
            ("cart.rb:31", "cart.rb:39"),
            ("/srv/shop/1.5.0/", "/app/"),
            ("ruby/gems/3.2.0/gems/rack-3.0", "ruby/gems/3.4.0/gems/rack-3.1"),
            ("no method", "undefined method `x'"),
            ("`post'", "'Checkout#post'"),
        ),
        (("block in total", "block in taxes"), ("NoMethodError", "KeyError")),
    ),
    "dart": Case(
        """Unhandled exception:
RangeError (index): Invalid value: 3
#0      Cart.total (package:shop/cart.dart:31:9)
#1      main.<anonymous closure> (file:///build/1.5.0/main.dart:12:3)
#2      _startIsolate.<anonymous closure> (dart:isolate-patch/isolate_patch.dart:265)
""",
        (
            ("cart.dart:31:9", "cart.dart:44:1"),
            ("/build/1.5.0/", "/home/ci/"),
            ("value: 3", "value: 4"),
            ("<anonymous closure>", "<fn>"),
        ),
        (("Cart.total", "Cart.taxes"), ("RangeError (index)", "StateError")),
    ),
    "native": Case(
        """==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010
    #0 0x55d0c1 in shop::Cart<int>::total(std::vector<int> const&) /build/1.5.0/cart.cc:31:9
    #1 0x55d0c2 in main /build/1.5.0/main.cc:12:3
    #2 0x7f0001 in __libc_start_main (/lib/x86_64-linux-gnu/libc.so.6+0x29d8f) (BuildId: 1234)
""",
        (
            ("==7==", "==90210=="),
            ("0x55d0c1", "0x7fffa1"),
            ("cart.cc:31:9", "cart.cc:40:2"),
            ("/build/1.5.0/", "/home/ci/"),
            ("Cart<int>", "Cart<long>"),
            ("std::vector<int>", "std::__1::vector<long>"),
            ("BuildId: 1234", "BuildId: beef"),
        ),
        (("::total", "::taxes"), ("heap-use-after-free", "stack-buffer-overflow")),
    ),
}


def fingerprint(text: str) -> str:
    """Of a trace that comes without anything else."""
    return group_of(Crash(time=1, service="", release="", stacktrace=text)).fingerprint


@pytest.mark.parametrize(
    ("name", "old", "new"), [(name, *pair) for name, case in CASES.items() for pair in case.same]
)
def test_another_build_host_or_run_is_the_same_group(name: str, old: str, new: str) -> None:
    """What a release, a machine or the data changes is no part of a crash's identity."""
    text = CASES[name].text
    assert old in text
    assert fingerprint(text.replace(old, new.replace("\\\\", "\\"))) == fingerprint(text)


@pytest.mark.parametrize(
    ("name", "old", "new"), [(name, *pair) for name, case in CASES.items() for pair in case.other]
)
def test_another_bug_is_another_group(name: str, old: str, new: str) -> None:
    """Another function, type or cause is another bug, however alike the rest is."""
    text = CASES[name].text
    assert old in text
    assert fingerprint(text.replace(old, new.replace("\\\\", "\\"))) != fingerprint(text)


@given(
    name=st.sampled_from(sorted(CASES)),
    lines=st.integers(1, 99_999),
    address=st.integers(0x1000, 0xFFFF_FFFF),
    release=st.from_regex(r"(?:v?\d{1,2}\.\d{1,2}\.\d{1,2}|\d{8,14})", fullmatch=True),
)
def test_lines_addresses_and_releases_never_matter(
    name: str, lines: int, address: int, release: str
) -> None:
    """Whatever numbers a build puts there, the group stays."""
    text = CASES[name].text
    changed = re.sub(r"(?<=\.\w\w[:(])\d+|(?<=line )\d+", str(lines), text)
    changed = re.sub(r"(?<=0x)[0-9a-f]{3,}", f"{address:x}", changed).replace("1.5.0", release)
    assert fingerprint(changed) == fingerprint(text)
