"""What the README tells people to write and to open is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alerting.settings import load_endpoints
from contracts.policy import Policy, load_policies
from ingest.settings import load_agent_config

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Every YAML file that the README shows, under the name in its first line."""
    for name, text in re.findall(r"```yaml\n# (\S+)\n(.*?)```", README, re.DOTALL):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_files_of_the_five_minutes_are_valid(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each room accepts the file that the README shows for it, field by field."""
    monkeypatch.setenv("COALMINE_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    agent = load_agent_config(files / "agent.yaml")
    assert [source.service for source in agent.files] == ["checkout", "checkout"]
    policy = load_policies(files / "policies")["checkout"]
    assert [metric.name for metric in policy.metrics] == [m.name for m in Policy().metrics]
    (endpoint,) = load_endpoints(files / "endpoints.yaml")
    assert endpoint.shown_url == "https://deploy.example.com/webhooks"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_is_there(document: Path) -> None:
    """Links and paths in the documentation lead somewhere."""
    text = document.read_text(encoding="utf-8")
    links = {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    rooms = "contracts|ingest|streams|alerting|dashboard|coalmine|examples|compose|docs|tests"
    paths = set(re.findall(rf"`((?:{rooms})/[\w./-]*)`", text))
    missing = [p for p in links if not (document.parent / p).exists()]
    missing += [p for p in paths if not (ROOT / p).exists()]
    assert missing == []
