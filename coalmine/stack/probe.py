"""``python -m coalmine.stack.probe [GROUP]``: the health check of containers.

Exit code 0 when Kafka answers and, where a consumer group is named, when someone in it is reading:
a worker that hangs in a rebalance or has lost its broker is not healthy, however alive it is.
"""

from __future__ import annotations

import sys
from contextlib import closing

from contracts.settings import KafkaSettings, kafka_settings

_TIMEOUT_MS = 5000


def is_healthy(settings: KafkaSettings, group: str = "") -> bool:
    """Whether Kafka answers and ``group``, if any, has members that read."""
    from kafka import KafkaAdminClient  # noqa: PLC0415 - slow to import
    from kafka.errors import KafkaError  # noqa: PLC0415 - see above

    try:
        with closing(
            KafkaAdminClient(
                **settings.client_options(),
                request_timeout_ms=_TIMEOUT_MS,
                bootstrap_timeout_ms=_TIMEOUT_MS,
            )
        ) as client:
            if not group:
                return bool(client.describe_cluster()["brokers"])
            found = client.describe_groups([group])[group]
    except (KafkaError, OSError):
        return False
    return found["group_state"] == "Stable" and bool(found["members"])


if __name__ == "__main__":
    sys.exit(0 if is_healthy(kafka_settings(), *sys.argv[1:2]) else 1)
