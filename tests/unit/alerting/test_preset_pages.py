"""Each preset's page and the table of all of them say what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest

from alerting.auth import SIGNATURE
from alerting.integrations import PRESETS
from alerting.schema import with_presets
from alerting.settings import AlertingConfig, load_endpoints
from contracts.config import json_schema
from tests.support.presets import folder_of
from tests.unit.alerting.support import SECRET

WEBHOOKS = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("preset", PRESETS)
def test_the_example_of_a_page_is_an_endpoints_file(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies it needs only the secrets that it names."""
    page = (folder_of(preset) / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(endpoints:\n.*?)```", page, re.DOTALL)
    for name in re.findall(r"\$\{env:(\w+)\}", example):
        is_address = f"url: ${{env:{name}}}" in example
        signs = PRESETS[preset].auth[0] is SIGNATURE
        monkeypatch.setenv(
            name, "https://tool.example/hook" if is_address else SECRET if signs else "user:token"
        )
    token = tmp_path / "token"
    token.write_text("token", encoding="utf-8")
    example = re.sub(r"\$\{file:[^}]+\}", f"${{file:{token}}}", example)
    example = re.sub(r"\n *ca_file: .*", "", example)  # a file of the cluster
    file = tmp_path / "endpoints.yaml"
    file.write_text(example, encoding="utf-8")
    (endpoint,) = load_endpoints(file)
    assert endpoint.preset == preset


def test_every_preset_stands_in_the_table() -> None:
    """With a link to its page."""
    row = re.compile(r"^\| \[`([\w-]+)`\]\(\.\./(alerting/integrations/\w+)/", re.MULTILINE)
    listed = row.findall(WEBHOOKS)
    folders = {name: f"alerting/integrations/{name.replace('-', '_')}" for name in PRESETS}
    assert dict(listed) == folders


@pytest.mark.parametrize("preset", PRESETS)
def test_the_schema_knows_what_a_preset_takes(preset: str) -> None:
    """Its options by name, those that must be given, and what it acts on; no reference is open."""
    schema = with_presets(json_schema(AlertingConfig))
    entry = schema["$defs"]["EndpointConfig"]
    (rule,) = [r for r in entry["allOf"] if r["if"]["properties"]["preset"]["const"] == preset]
    properties = rule["then"]["properties"]
    options = schema["$defs"][properties["options"]["$ref"].removeprefix("#/$defs/")]
    fields = msgspec.structs.fields(PRESETS[preset].options)
    assert set(options["properties"]) == {field.encode_name for field in fields}
    assert options["required"] == [field.encode_name for field in fields if field.required]
    assert set(properties["actions"]["items"]["enum"]) == PRESETS[preset].actions
    references = re.findall(r'"#/\$defs/([^"]+)"', json.dumps(schema))
    assert set(references) <= set(schema["$defs"])
