"""Crash files and rarer layouts: each is read into its calls, and whose they are is known."""

from __future__ import annotations

import pytest

from contracts.records import Crash
from streams.crashes.frames import read_trace
from streams.crashes.group import analysed

TOMBSTONE = """*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***
Build fingerprint: 'google/raven/raven:14/UQ1A/1:user/release-keys'
pid: 4711, tid: 4730, name: worker  >>> org.example.shop <<<
signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0000000000000010
    x0  0000000000000000  x1  0000007b2c4f8a10
backtrace:
      #00 pc 0000000000042f89  /data/app/shop/libcart.so (Cart::total(int)+16)
      #01 pc 0000000000041a04  /data/app/shop/libcart.so (checkout+88)
      #02 pc 00000000000fd2a4  /apex/com.android.runtime/lib64/libc.so (__pthread_start(void*)+208)
"""
LLDB = """* thread #1, queue = 'com.apple.main-thread', stop reason = EXC_BAD_ACCESS
  * frame #0: 0x0000000100003f5c shop`Cart::total(this=0x0000000000000000) const at cart.cpp:31:9
    frame #1: 0x0000000100003f9c shop`main at main.cpp:12:3
    frame #2: 0x00000001a1b2c3d4 dyld`start + 2236
"""
SWIFT = """Fatal error: Index out of range
Crash reason: SIGILL

Thread 0 crashed:

0 [ra] 0x0000000100003a10 Cart.total() + 116 in shop at /build/1.5.0/Cart.swift:31:9
1 [ra] 0x0000000100003b20 main + 44 in shop at /build/1.5.0/main.swift:12:3
"""
MSVC = """shop.exe!Cart::total(int n) Line 31
shop.exe!main() Line 12
shop.exe!invoke_main() Line 78
kernel32.dll!BaseThreadInitThunk()
"""
UNITY = """NullReferenceException: Object reference not set to an instance of an object
Shop.Cart:Total(Int32) (at Assets/Scripts/Cart.cs:31)
Shop.Checkout:Post() (at Assets/Scripts/Checkout.cs:12)
UnityEngine.EventSystems.ExecuteEvents:Execute(GameObject)
"""
HS_ERR = """#
# A fatal error has been detected by the Java Runtime Environment:
#
#  SIGSEGV (0xb) at pc=0x00007f0a1c2b3c4d, pid=4711, tid=4712
#
Stack: [0x00007f0a00000000,0x00007f0a00100000],  sp=0x00007f0a000fe000,  free space=1016k
Native frames: (J=compiled Java code, j=interpreted, Vv=VM code, C=native code)
C  [libcart.so+0x1139]  cart_total+0x19
j  shop.cart.Cart.total()I+0
j  shop.web.Checkout.post()V+12
V  [libjvm.so+0x8a1b2c]  JavaCalls::call_helper(JavaValue*)+0x3bc
"""
FAULTHANDLER = """Fatal Python error: Segmentation fault

Current thread 0x00007f0a1c2b3c40 (most recent call first):
  File "/srv/shop/1.5.0/shop/cart.py", line 31 in total
  File "/usr/lib/python3.11/threading.py", line 975 in run
  File "/srv/shop/1.5.0/shop/web.py", line 12 in post

Thread 0x00007f0a1c2b3c41 (most recent call first):
  File "/srv/shop/1.5.0/shop/idle.py", line 9 in wait
"""
GERMAN = """System.NullReferenceException: Der Objektverweis wurde nicht festgelegt.
   bei Shop.Cart.Total(Int32 n) in D:\\build\\Cart.cs:Zeile 31.
   bei Shop.Checkout.Post() in D:\\build\\Checkout.cs:Zeile 12.
   bei System.Threading.Tasks.Task.Execute()
"""
RUSSIAN = """System.NullReferenceException: Ссылка на объект не указывает на экземпляр.
   в Shop.Cart.Total(Int32 n) в D:\\build\\Cart.cs:строка 31
   в Shop.Checkout.Post() в D:\\build\\Checkout.cs:строка 12
   в System.Threading.Tasks.Task.Execute()
"""

_SHOP = ["Shop.Checkout.Post", "Shop.Cart.Total"]
CASES = {
    "tombstone": (TOMBSTONE, "native", "SIGSEGV", ["checkout", "Cart::total"], 3),
    "lldb": (LLDB, "native", None, ["main", "Cart::total"], 3),
    "swift": (SWIFT, "native", None, ["main", "Cart.total"], 2),
    "msvc": (MSVC, "native", None, ["main", "Cart::total"], 4),
    "unity": (UNITY, "csharp", "NullReferenceException", _SHOP, 3),
    "hs_err": (
        HS_ERR,
        "java",
        "SIGSEGV",
        ["shop.web.Checkout.post", "shop.cart.Cart.total", "libcart.so.cart_total"],
        4,
    ),
    "faulthandler": (FAULTHANDLER, "python", None, ["web.post", "cart.total"], 3),
    "german": (GERMAN, "csharp", "NullReferenceException", _SHOP, 3),
    "russian": (RUSSIAN, "csharp", "NullReferenceException", _SHOP, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rarer_layout_is_read_like_any_other(name: str) -> None:
    """Runtime, type, the user's own calls and the number of frames come out of the text alone."""
    text, runtime, kind, calls, frames = CASES[name]
    group, chosen = analysed(Crash(time=1, service="", release="", stacktrace=text))
    assert group.runtime == runtime
    assert [call.name for call in group.frames] == calls
    assert [frame.in_app for frame in chosen.frames].count(True) == len(calls)
    assert len(chosen.frames) == frames
    if kind:
        assert read_trace(runtime, text).raised[0].type.rpartition(".")[2] == kind
