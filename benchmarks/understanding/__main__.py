"""How well crashes and logs are understood, on data that nobody wrote for Coalmine.

    python -m benchmarks.understanding joining [--help]

Each measurement is a module of this package with ``add_options(parser)`` and ``run(options)``,
which returns the exit code; only the one that was asked for is imported.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

MODULES = {
    "joining": "traces that become exactly one record, alone and among other writers' lines",
    "bursts": "crashes a second, identical ones beside different ones",
    "fingerprints": "crash groups against the groups that Sentry made",
    "templates": "log templates against labels made by people",
}


def main(arguments: list[str]) -> int:
    """Run the module that the first word names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.understanding", description=__doc__)
    choices = "; ".join(f"{name}: {what}" for name, what in MODULES.items())
    parser.add_argument("module", choices=MODULES, help=choices)
    name = parser.parse_args(arguments[:1]).module
    module = import_module(f"benchmarks.understanding.{name}")
    own = argparse.ArgumentParser(prog=f"{parser.prog} {name}", description=module.__doc__)
    module.add_options(own)
    code: int = module.run(own.parse_args(arguments[1:]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
