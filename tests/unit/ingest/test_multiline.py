"""Which lines become one record: samples made by really failing in each runtime's layout."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from ingest.multiline import Joiner, JoinRules, starts_with

AFTER = [b"an ordinary line follows", b"and another"]


def joined(text: str | bytes, rules: JoinRules | None = None) -> list[bytes]:
    """Records of a text that is followed by two ordinary lines."""
    raw = text.encode() if isinstance(text, str) else text
    lines = [*raw.rstrip(b"\n").split(b"\n"), *AFTER]
    joiner = Joiner(rules or JoinRules())
    found = joiner.feed(lines, list(range(1, len(lines) + 1)))
    return [j.line for j in [*found, *joiner.flush()]]


def python_stderr(program: str, *options: str) -> bytes:
    """What a real Python prints when this program fails."""
    command = [sys.executable, *options, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, check=False).stderr


PYTHON_PROGRAMS = {
    "plain": "def f(): 1 / 0\nf()",
    "chained": "try:\n    {}['a']\nexcept KeyError:\n    int('x')",
    "cause": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e",
    "no_message": "raise KeyboardInterrupt",
    "recursion": "def f(): f()\nf()",
    "group": "raise ExceptionGroup('many', [ValueError('a'), TypeError('b')])",
    "group_chained": (
        "try:\n    1 / 0\nexcept ZeroDivisionError:\n"
        "    raise ExceptionGroup('many', [ValueError('a'), ExceptionGroup('in', [OSError()])])"
    ),
    "fatal": "import faulthandler, os, signal\nfaulthandler.enable()\nos.kill(os.getpid(), 11)",
}


@pytest.mark.parametrize("name", PYTHON_PROGRAMS)
def test_a_real_python_failure_is_one_record(name: str) -> None:
    """Tracebacks, chains, groups and faulthandler dumps of this very Python are one record each."""
    text = python_stderr(PYTHON_PROGRAMS[name]).rstrip(b"\n")
    assert text

    assert joined(text) == [text, *AFTER]


TRACES = {
    "java": """\
java.lang.IllegalStateException: cart is gone
\tat com.shop.Cart.total(Cart.java:10)
\tat com.shop.Main.main(Main.java:5)
\tSuppressed: java.io.IOException: close
\t\tat com.shop.Cart.close(Cart.java:20)
\t\t... 1 more
Caused by: java.lang.NullPointerException
\tat com.shop.Price.of(Price.java:3)
\t... 2 more""",
    "node": """\
/srv/app/cart.js:3
  throw new TypeError('no cart');
  ^

TypeError: no cart
    at total (/srv/app/cart.js:3:9)
    at node:internal/main/run_main_module:23:47 {
  code: 'E_CART'
}

Node.js v18.19.0""",
    "go": """\
panic: runtime error: index out of range [3] with length 2

goroutine 1 [running]:
main.total(...)
\t/srv/shop/main.go:8
main.main()
\t/srv/shop/main.go:4 +0x1d
exit status 2""",
    "rust": """\
thread 'main' panicked at src/main.rs:2:5:
no cart
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:645:5
   1: shop::main
             at ./src/main.rs:2:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.""",
    "ruby": """\
cart.rb:2:in `total': no cart (ArgumentError)
\tfrom cart.rb:5:in `<main>'""",
    "php": """\
PHP Fatal error:  Uncaught RuntimeException: no cart in /srv/cart.php:3
Stack trace:
#0 /srv/cart.php(7): total()
#1 {main}
  thrown in /srv/cart.php on line 3""",
    "dotnet": """\
Unhandled exception. System.InvalidOperationException: no cart
   at Shop.Cart.Total() in /srv/Cart.cs:line 7
--- End of stack trace from previous location ---
   at Shop.Program.Main(String[] args) in /srv/Program.cs:line 3""",
    "dart": """\
Unhandled exception:
Bad state: no cart
#0      total (file:///srv/cart.dart:3:3)
<asynchronous suspension>
#1      main (file:///srv/cart.dart:7:3)""",
    "sanitizer": """\
=================================================================
==77==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x4f bp 0x7f
READ of size 4 at 0x602000000010 thread T0
    #0 0x4f1234 in total /srv/cart.c:3:9
    #1 0x4f1300 in main /srv/cart.c:9:3

0x602000000010 is located 0 bytes inside of 4-byte region
freed by thread T0 here:
    #0 0x4a in free (/srv/shop+0x4a)
    #1 0x4f1200 in drop /srv/cart.c:2:3

SUMMARY: AddressSanitizer: heap-use-after-free /srv/cart.c:3:9 in total""",
    "native": """\
Program received signal SIGSEGV, Segmentation fault.
0x000055555555513d in total (cart=0x0) at cart.c:3
#0  0x000055555555513d in total (cart=0x0) at cart.c:3
#1  0x0000555555555160 in main () at cart.c:9""",
    "gecko": """\
TypeError: cart is undefined
total@https://shop.example/cart.js:3:9
@https://shop.example/cart.js:9:1""",
    "ruby_new": """\
cart.rb:2:in 'Cart#total': no cart (ArgumentError)
\tfrom cart.rb:5:in '<main>'""",
    "anyhow": """\
Error: no cart

Caused by:
    0: cannot read carts
    1: No such file

Stack backtrace:
   0: shop::total
             at ./src/main.rs:2:5
   1: shop::main
             at ./src/main.rs:9:5""",
}


@pytest.mark.parametrize("runtime", TRACES)
def test_a_trace_is_one_record(runtime: str) -> None:
    """Every line of a trace joins; the ordinary line after it begins a new record."""
    assert joined(TRACES[runtime]) == [TRACES[runtime].encode(), *AFTER]


def test_ordinary_lines_stay_apart() -> None:
    """Lines that are no trace are a record each; blank lines are none."""
    assert joined("one\n\ntwo: three\nmain()") == [b"one", b"two: three", b"main()", *AFTER]


def test_indented_lines_continue() -> None:
    """A line that begins with a blank belongs to the line before it."""
    assert joined("config:\n  a = 1\n\tb = 2\nnext")[0] == b"config:\n  a = 1\n\tb = 2"


def test_a_trace_joins_the_log_line_above_it() -> None:
    """Where log lines have a known start, traces and exceptions belong to the line above."""
    rules = JoinRules(starts=starts_with(r"\["))
    trace = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nValueError: x'

    found = joined(
        f"[1] failed\n{trace}\n[2] on\njava.io.IOException: y\n\tat A.b(A.java:1)", rules
    )

    assert found[0] == f"[1] failed\n{trace}".encode()
    assert found[1] == b"[2] on\njava.io.IOException: y\n\tat A.b(A.java:1)"


def test_a_start_regex_is_strict() -> None:
    """With a start regex every other line continues, blank ones included."""
    rules = JoinRules(starts=starts_with(r"\["), strict=True)

    assert joined("[1] a\n\nb\n[2] c", rules)[0] == b"[1] a\n\nb"


def test_a_record_has_a_limit() -> None:
    """A record that grows without end is given out at its limit of lines."""
    joiner = Joiner(JoinRules(max_lines=3))
    lines = [b"head", *[b" more"] * 5]

    found = [*joiner.feed(lines, list(range(6))), *joiner.flush()]

    assert [j.line.count(b"\n") + 1 for j in found] == [3, 3]


def test_ends_are_those_of_the_last_line() -> None:
    """The offset of a record is the one after its last line, so that a restart loses none."""
    joiner = Joiner(JoinRules())

    found = joiner.feed([b"a", b" b", b"c"], [2, 5, 7])

    assert [(j.line, j.end) for j in found] == [(b"a\n b", 5)]
    assert joiner.has_pending
