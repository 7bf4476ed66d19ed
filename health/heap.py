"""The heap of a process that lives long: what it has loaded is no garbage, what it leaves is."""

from __future__ import annotations

import gc


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
