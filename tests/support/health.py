"""What a health port says, as tests ask it."""

from __future__ import annotations

import http.client
from collections import defaultdict

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

_HERE = "127.0.0.1"


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body of a GET; 0 and the error where nothing answers."""
    connection = http.client.HTTPConnection(_HERE, port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def families(port: int) -> dict[str, Metric]:
    """Every metric of a process by the name that its page gives, ``_total`` included."""
    status, text = get(port, "/metrics")
    assert status == 200, text
    found = {}
    for family in text_string_to_metric_families(text):
        is_counter = family.type == "counter"
        found[f"{family.name}_total" if is_counter else family.name] = family
    return found


def samples(port: int) -> dict[str, float]:
    """Values by ``name``, summed over its labels, and by ``name{value of a label}``."""
    values: dict[str, float] = defaultdict(float)
    for family in families(port).values():
        for sample in family.samples:
            values[sample.name] += sample.value
            for value in sample.labels.values():
                values[f"{sample.name}{{{value}}}"] += sample.value
    return values
