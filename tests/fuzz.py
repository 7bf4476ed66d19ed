"""Coverage-guided fuzzing with atheris, which is no dependency: ``pip install atheris`` first.

    python -m tests.fuzz "parse logs regex" -max_total_time=60

Runs one reader of ``tests/support/fuzz_targets.py``; without a name, lists them. What breaks it is
written to ``crash-…`` in the current directory.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """See the module."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    atheris = importlib.import_module("atheris") if name else None
    if atheris is None:
        _list()
        return
    with atheris.instrument_imports(include=["contracts", "ingest", "streams", "alerting"]):
        from tests.support.fuzz_targets import targets  # noqa: PLC0415 - instrumented while imported
    target = next(t for t in targets() if t.name == name)
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(target.seeds):
            (Path(folder) / str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], *sys.argv[2:], folder], target.feed)
        atheris.Fuzz()


def _list() -> None:
    from tests.support.fuzz_targets import targets  # noqa: PLC0415 - slow to import

    for target in targets():
        sys.stdout.write(f"{target.name}\n")


if __name__ == "__main__":
    main()
