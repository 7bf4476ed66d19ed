"""nginx and flagd as they run: real files, real commands, the transport of production."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from alerting.carrier import Carrier
from alerting.outbox import Outbox
from alerting.settings import load_endpoints
from contracts.results import DecisionAction
from tests.unit.alerting.support import House, decision

PROMOTION = decision(
    id="p", action=DecisionAction.PROMOTE, exposure=0.25, canary="on", baseline="off"
)
FLAG = {
    "state": "ENABLED",
    "variants": {"on": True, "off": False},
    "defaultVariant": "off",
    "targeting": {"fractional": [["on", 1], ["off", 9]]},
}


def house(tmp_path: Path, file: Path, **fields: Any) -> House:
    """An endpoint read from a file, with nothing between it and the machine."""
    entry = {
        "name": "edge",
        "url": f"file://{file}",
        "actions": ["rollback", "promote"],
        "timeout": "20s",
        **fields,
    }
    config = tmp_path / "endpoints.yaml"
    config.write_text(yaml.safe_dump({"endpoints": [entry]}))
    (endpoint,) = load_endpoints(config)
    made = House(to=endpoint)
    made.parts = replace(made.parts, transport=Carrier())
    made.outbox = Outbox(endpoint, made.parts, made.settled.append)
    return made


def nginx(tmp_path: Path, check: str) -> tuple[House, Path, Path]:
    """A split file, and what its reload leaves behind; ``check`` is Python that is run as the
    test of the configuration.
    """
    file, mark = tmp_path / "split.conf", tmp_path / "reloaded"
    file.write_text("old\n")
    options = {
        "variable": "$shop",
        "canary": "shop_canary",
        "baseline": "shop_stable",
        "check": [sys.executable, "-c", check],
        "reload": ["/bin/cp", str(file), str(mark)],
    }
    return house(tmp_path, file, preset="nginx", options=options), file, mark


def test_nginx_is_reloaded_with_the_share_of_the_next_phase(tmp_path: Path) -> None:
    """What the reload sees is the whole new file; then a rollback leaves the baseline alone."""
    made, _, mark = nginx(tmp_path, "pass")
    made.take(PROMOTION)
    assert "    25.00% shop_canary;\n    * shop_stable;\n" in mark.read_text()
    made.take(decision(rollout="another"), offset=1)
    assert "shop_canary" not in mark.read_text()
    assert made.outcomes == [(1, "delivered"), (1, "delivered")]


def test_a_file_that_nginx_does_not_like_is_put_back(tmp_path: Path) -> None:
    """The old one stands, nothing is reloaded, and people hear why."""
    made, file, mark = nginx(tmp_path, "raise SystemExit('emerg: no upstream')")
    made.take(decision())
    assert file.read_text() == "old\n"
    assert not mark.exists()
    assert made.outcomes == [(1, "refused")]
    assert "emerg: no upstream" in made.ledger.announced[0].reason


@pytest.mark.parametrize(
    ("taken", "flag"),
    [
        (decision(), {**FLAG, "state": "DISABLED"}),
        (PROMOTION, {**FLAG, "targeting": {"fractional": [["on", 1], ["off", 3]]}}),
        (
            decision(action=DecisionAction.PROMOTE, exposure=1.0, canary="on", baseline="off"),
            {name: FLAG[name] for name in ("state", "variants")} | {"defaultVariant": "on"},
        ),
    ],
)
def test_flagd_s_file_says_what_was_decided(
    tmp_path: Path, taken: Any, flag: dict[str, object]
) -> None:
    """One flag changes, through the link of a mounted directory; the others stay as they are."""
    real, file = tmp_path / "data.json", tmp_path / "flags.json"
    real.write_text(json.dumps({"$schema": "x", "flags": {"checkout": FLAG, "banner": FLAG}}))
    file.symlink_to(real)
    made = house(tmp_path, file, preset="flagd", options={"flag": "checkout"})
    made.take(taken)
    assert made.outcomes == [(1, "delivered")]
    assert file.is_symlink()
    assert json.loads(file.read_text()) == {
        "$schema": "x",
        "flags": {"checkout": flag, "banner": FLAG},
    }
