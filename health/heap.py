"""The memory of a process that lives long: what it has loaded is no garbage, what it leaves is."""

from __future__ import annotations

import ctypes
import gc

_MALLOC_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None)


def freeze() -> None:
    """Leave what is held now out of the search for garbage; once a process is ready, and again.

    The collector goes through old objects only when they have become a quarter more. Each poll of
    kafka-python that ends without a message leaves a cycle of fifty objects; beside 100,000 of
    loaded modules, tens of thousands of them would wait for an hour, and memory would creep.

    What was frozen before is looked through first: parts may have been replaced meanwhile.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.collect()  # or it goes on measuring by what is frozen, until it has grown by a quarter once


def trim() -> bool:
    """Give the system back what was freed; 1 to 6 ms for half a gigabyte.

    By itself glibc gives back only what is free at the top of its heap. Where messages and states
    of 50 kB to 1 MB come and go, one small thing above them keeps a third of the memory.

    Returns:
        Whether there was anything to give back; never where the C library is not glibc.

    Reference: malloc_trim(3).
    """
    return bool(_MALLOC_TRIM and _MALLOC_TRIM(0))
