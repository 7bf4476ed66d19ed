"""A service with the real Sentry SDK: ``python -m tests.support.sentry_shop DSN NAME COUNT``.

It fails COUNT times in a way of its own, within a session, and knows nothing of Coalmine.
"""

from __future__ import annotations

import sys
from importlib import import_module


class PaymentError(Exception):
    """What the service fails with."""


def charge(name: str, number: int) -> None:
    """Fail, for a reason."""
    try:
        dict[str, int]()[f"{name}-{number}"]
    except KeyError as error:
        raise PaymentError(f"{name} {number}") from error


def main() -> None:
    """See the module."""
    dsn, name, count = sys.argv[1:]
    # by name: mypy of those who installed no development tools need not know it
    sdk = import_module("sentry_sdk")
    sdk.init(dsn=dsn, release=f"{name}@1.2.3", server_name="web-7", traces_sample_rate=1.0)
    with sdk.start_transaction(name="pay"):
        for number in range(int(count)):
            try:
                charge(name, number)
            except PaymentError as error:
                sdk.capture_exception(error)
    sdk.capture_message("all is well", level="info")
    sdk.get_client().close(timeout=20)


if __name__ == "__main__":
    main()
