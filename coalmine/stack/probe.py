"""``python -m coalmine.stack.probe``: the health check of containers.

Exit code 0 when the process on ``COALMINE_HEALTH_PORT`` says that it is ready: one that hangs in a
rebalance or has lost its broker is not, however alive it is.
"""

from __future__ import annotations

import os
import sys

from coalmine.stack.watchdog import ask


def is_ready(port: str) -> bool:
    """Whether the process whose health port this is can do its work."""
    return port.isdigit() and ask(int(port), "/readyz").is_well


if __name__ == "__main__":
    sys.exit(0 if is_ready(os.environ.get("COALMINE_HEALTH_PORT", "")) else 1)
