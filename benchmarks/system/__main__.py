"""The benchmarks of the whole system, by name: ``python -m benchmarks.system --help``."""

from __future__ import annotations

import typer

from benchmarks.system import growth, latency, memory, page, workers

app = typer.Typer(no_args_is_help=True, help="Measure the whole system beside its goals.")
for module in (latency, memory, growth, workers, page):
    app.command(module.__name__.rpartition(".")[2])(module.main)

if __name__ == "__main__":
    app()
