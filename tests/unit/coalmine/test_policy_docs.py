"""docs/policies.md and the JSON Schemas beside the types that they describe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from coalmine.cli.main import build
from coalmine.policies.cases import Cases
from coalmine.policies.descriptions import field_docs, structs_of
from contracts.policy import Policy

_PAGE = Path("docs/policies.md")


@pytest.mark.parametrize(
    "as_type", [*structs_of(Policy), *structs_of(Cases)], ids=lambda each: each.__name__
)
def test_the_page_has_every_field(as_type: type[msgspec.Struct]) -> None:
    """A field that is added to a policy, or to its tests, is added to the page."""
    words = set(re.findall(r"`([a-z_]+)`", _PAGE.read_text(encoding="utf-8")))
    assert {field.encode_name for field in msgspec.structs.fields(as_type)} <= words


@pytest.mark.parametrize("as_type", structs_of(Policy), ids=lambda each: each.__name__)
def test_every_field_of_a_policy_says_what_it_is(as_type: type[msgspec.Struct]) -> None:
    """Editors show a sentence for each of them."""
    assert {f.encode_name for f in msgspec.structs.fields(as_type)} == set(field_docs(as_type))


def test_the_schema_has_the_words_of_the_types() -> None:
    """Types and fields are described, those that refer to another type too."""
    printed = CliRunner().invoke(build(), ["schema", "policy"]).stdout
    types = json.loads(printed)["$defs"]
    assert types["Phase"]["description"].startswith("One step of a rollout")
    assert types["Phase"]["properties"]["exposure"]["description"].startswith("The canary's share")
    assert types["Phase"]["properties"]["at_end"]["description"] == (
        "What happens after max_duration."
    )
