"""The sides: who reads a log file and brings it to Kafka, and what merely reads it."""

from __future__ import annotations

from typing import NamedTuple


class Side(NamedTuple):
    """One row of the table; ``variant`` is one of ``sides.loop``, or none for our agent."""

    name: str
    title: str
    shape: str
    variant: str = ""
    is_floor: bool = False

    @property
    def is_agent(self) -> bool:
        """Whether it is Coalmine's agent."""
        return not self.variant


SIDES: tuple[Side, ...] = (
    Side("agent-json", "Coalmine agent, JSON access log", "json"),
    Side("agent-combined", "Coalmine agent, combined log", "combined"),
    Side("agent-plain", "Coalmine agent, plain log with tracebacks", "plain"),
    Side("loop-json", "loop: tail, json.loads, kafka-python", "json", "kafka-python"),
    Side("loop-combined", "loop: tail, re, json.dumps, kafka-python", "combined",
         "kafka-python-combined"),
    Side("confluent-json", "loop: tail, json.loads, confluent-kafka", "json", "confluent"),
    Side("confluent-msgspec", "loop: tail, msgspec, confluent-kafka", "json",
         "confluent-msgspec"),
    Side("confluent-combined", "loop: tail, re, json.dumps, confluent-kafka", "combined",
         "confluent-combined"),
    Side("floor-parse", "floor: tail, json.loads, no Kafka", "json", "parse", is_floor=True),
    Side("floor-read", "floor: tail only", "json", "read", is_floor=True),
)  # fmt: skip
