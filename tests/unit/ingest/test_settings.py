from __future__ import annotations

from pathlib import Path

import pytest

from contracts.config import json_schema
from contracts.errors import ConfigError
from ingest.settings import AgentConfig, Format, load_agent_config

EXAMPLE = Path(__file__).parents[3] / "examples" / "agent.yaml"


def load_text(tmp_path: Path, text: str) -> object:
    """The configuration in a text."""
    path = tmp_path / "agent.yaml"
    path.write_text(text, encoding="utf-8")
    return load_agent_config(path)


def test_the_example_is_valid() -> None:
    """What users copy works, and shows every format."""
    config = load_agent_config(EXAMPLE)

    assert {source.format for source in config.files} == set(Format)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("files:\n- paths: [a]\n  knd: logs\n", "agent.yaml:3: files[0].knd", "unknown"),
        ("files:\n- paths: [a]\n  kind: log\n", "files[0].kind", "log"),
        ("files: []\n", "files", "at least one source"),
        ("files:\n- paths: []\n", "files[0].paths", "at least one path"),
        ("files:\n- {paths: [a], format: regex, kind: logs}\n", "files[0].pattern", "named groups"),
        ("files:\n- {paths: [a], pattern: '(?P<x>'}\n", "files[0].pattern", "not a regex"),
        ("files:\n- {paths: [a], from_path: '(?P<x>.)'}\n", "files[0].from_path", "service"),
        ("files:\n- {paths: [a], timezone: Mars}\n", "files[0].timezone", "Europe/Berlin"),
        ("files:\n- {paths: [a], format: plain}\n", "files[0].kind", "logs or crashes"),
        ("files:\n- {paths: [a]}\nbatch: {max_age: soon}\n", "batch.max_age", "duration"),
        ("files:\n- {paths: [a]}\nbatch: {max_records: 0}\n", "batch.max_records", "1 to"),
        ("files:\n- {paths: [a]}\nredaction: {without: [mail]}\n", "redaction.without", "email"),
        ("files:\n- {paths: [a]}\nredaction: {rules: {a: '(?=x)'}}\n", "rules.a", "RE2"),
        ("files:\n- {paths: [a]}\nredaction: {rules: {a: 'x*'}}\n", "rules.a", "empty text"),
        ("files:\n- {paths: [a]}\nredaction: {rules: {email: x}}\n", "rules.email", "new name"),
        ("- a\n", "agent.yaml", "expected"),
    ],
)
def test_errors_name_place_and_expectation(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    """One sentence that says where, what was found and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)

    assert place in str(caught.value)
    assert words in str(caught.value)


def test_there_is_a_schema_for_editors() -> None:
    """The JSON Schema names every field of a source."""
    source = json_schema(AgentConfig)["$defs"]["FileSource"]

    assert {"paths", "kind", "format", "fields", "from_path", "crashes"} <= set(
        source["properties"]
    )
    assert source["additionalProperties"] is False


def test_a_rotated_file_is_kept_for_a_while(tmp_path: Path) -> None:
    """A file that is closed at once would be read a second time at the next rotation."""
    path = tmp_path / "agent.yaml"
    path.write_text("rotate_wait: 1s\nfiles: [{paths: [a.log], service: shop}]\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="rotate_wait: expected at least 10 seconds"):
        load_agent_config(path)
