"""A gate without an API: what it waits for, what it ends with, and what it leaves behind."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from coalmine.api.states import State, state_of, unknown_state
from coalmine.gate.junit import junit
from coalmine.gate.reporting import (
    System,
    annotation,
    dotenv,
    leave,
    leave_summary,
    section,
    system_of,
)
from coalmine.gate.waiting import Ending, OnInconclusive, Waiting, exit_code
from contracts.clock import ManualClock
from contracts.errors import ConfigError, Recoverable
from contracts.results import Outcome, RolloutStatus
from tests.support.results import promoted, regressed, verdict

Step = State | Exception
NOTHING = unknown_state("checkout", "1.5.0")
RUNNING = state_of(verdict())
GOOD, BAD = state_of(promoted()), state_of(regressed())
AWAY = Recoverable("the API does not answer: connection refused")


def waited(steps: list[Step], timeout_s: float = 100.0) -> tuple[Ending, list[str]]:
    """How a gate ends that hears these ten seconds apart, the last one for ever."""
    clock, lines = ManualClock(), list[str]()

    def told() -> Iterator[Step]:
        yield from steps
        while True:
            yield steps[-1]

    found = told()

    def ask() -> State:
        step = next(found)
        if isinstance(step, Exception):
            raise step
        return step

    waiting = Waiting(ask, lines.append, clock, sleep=clock.advance)
    return waiting.run(timeout_s, interval_s=10.0), lines


@pytest.mark.parametrize(
    ("steps", "code", "waited_s"),
    [
        ([NOTHING, RUNNING, GOOD], 0, 20),
        ([RUNNING, BAD], 1, 10),
        ([RUNNING], 4, 100),
        ([NOTHING], 5, 100),
        ([state_of(verdict(outcome=Outcome.NO_DATA))], 5, 100),
        ([state_of(verdict(status=RolloutStatus.CLOSED))], 5, 0),
        ([state_of(verdict(status=RolloutStatus.ABORTED))], 4, 0),
        ([AWAY], 4, 100),
        ([RUNNING, AWAY, AWAY, GOOD], 0, 30),
        ([AWAY, BAD], 1, 10),
        ([RUNNING, AWAY], 4, 100),
    ],
)
def test_a_gate_ends_with_what_was_found(steps: list[Step], code: int, waited_s: float) -> None:
    """As soon as it is final; an API that is away is waited for until the time is up."""
    ending, _ = waited(steps)
    assert (exit_code(ending, OnInconclusive.FAIL), ending.waited_s) == (code, waited_s)
    assert ending.sentence


def test_who_waits_decides_what_inconclusive_means() -> None:
    """It may pass; a regression and no data never do."""
    ways = [OnInconclusive.FAIL, OnInconclusive.PASS, OnInconclusive.HOLD]
    assert [exit_code(waited([RUNNING])[0], way) for way in ways] == [4, 0, 4]
    assert [exit_code(waited([BAD])[0], way) for way in ways] == [1, 1, 1]
    assert [exit_code(waited([NOTHING])[0], way) for way in ways] == [5, 5, 5]


def test_what_is_wrong_with_the_configuration_ends_it_at_once() -> None:
    """A token that is not known will not be known later."""
    with pytest.raises(ConfigError):
        waited([ConfigError("COALMINE_API_TOKEN", "refused")])


def test_one_line_is_told_for_each_change() -> None:
    """Growing evidence is no change; a phase, a hold and an API that is away are."""
    held = state_of(verdict(held_because="ci holds it", evidence_log10=0.3))
    steps: list[Step] = [
        RUNNING,
        state_of(verdict(evidence_log10=0.9)),
        AWAY,
        AWAY,
        held,
        held,
        BAD,
    ]
    _, lines = waited(steps)
    assert [line.split(":")[0] for line in lines] == [
        "inconclusive", "the API does not answer", "inconclusive", "regressed",
    ]  # fmt: skip
    assert "held: ci holds it" in lines[2]
    assert "ZeroDivisionError in discount" in lines[3]


def test_a_long_silence_is_broken() -> None:
    """CI systems end jobs that print nothing for ten minutes."""
    _, lines = waited([RUNNING], timeout_s=1_000)
    assert len(lines) == 5


def test_ci_systems_are_recognised() -> None:
    """By the variables that each sets."""
    found = [
        system_of(variables)
        for variables in (
            {"GITHUB_ACTIONS": "true", "CI": "true"},
            {"GITLAB_CI": "true"},
            {"JENKINS_URL": "https://ci.example.com/"},
            {"CI": "true"},
        )
    ]
    assert found == [System.GITHUB, System.GITLAB, System.JENKINS, System.OTHER]


def test_github_is_told_in_its_words(tmp_path: Path) -> None:
    """An annotation, a group, a summary and outputs; no reason can smuggle a command into them."""
    bad = state_of(regressed(reason="100 %\n::set-output name=x::y"))
    ending, title = Ending(bad, 12.0), "checkout 1.5.0"
    line = annotation(System.GITHUB, title, ending, 1)
    assert line == (
        "::error title=Coalmine%3A checkout 1.5.0::regressed. 100 %25%0A::set-output name=x::y"
    )
    assert annotation(System.GITHUB, title, Ending(GOOD, 1.0), 0).startswith("::notice ")
    output = io.StringIO()
    with section(System.GITHUB, title, output):
        output.write("line\n")
    assert output.getvalue() == "::group::checkout 1.5.0\nline\n::endgroup::\n"
    files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    leave_summary(files, title, ending, 1)
    leave_summary(files, title, ending, 1)
    outputs = (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8").splitlines()
    assert outputs[:3] == ["result=regressed", f"rollout={bad.rollout}", "phase=employees"]
    summary = (tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8")
    assert summary.count("### ❌ Coalmine: checkout 1.5.0") == 2
    assert "| evidence | 3.50 of 2.00 |" in summary
    assert "\n::set-output" not in summary


def test_gitlab_and_jenkins_are_told_in_theirs() -> None:
    """A section that can be folded; one plain line; variables for later jobs."""
    ending = Ending(BAD, 12.0)
    output = io.StringIO()
    with section(System.GITLAB, "checkout\x1b[2J", output):
        pass
    assert "section_start:" in output.getvalue()
    assert "section_end:" in output.getvalue()
    assert "\x1b[2J" not in output.getvalue()
    for system in (System.JENKINS, System.GITLAB, System.OTHER):
        line = annotation(system, "checkout 1.5.0", ending, 1)
        assert line.startswith("coalmine gate: ERROR: checkout 1.5.0: regressed. ")
    assert dotenv(ending).splitlines()[0] == "COALMINE_RESULT=regressed"
    assert dotenv(Ending(None, 1.0)).splitlines()[0] == "COALMINE_RESULT=inconclusive"


@pytest.mark.parametrize(
    ("ending", "code", "failures", "skipped", "child"),
    [
        (Ending(GOOD, 1.5), 0, "0", "0", None),
        (Ending(BAD, 1.5), 1, "1", "0", "failure"),
        (Ending(RUNNING, 1.5, is_timeout=True), 4, "1", "0", "failure"),
        (Ending(RUNNING, 1.5, is_timeout=True), 0, "0", "1", "skipped"),
    ],
)
def test_a_gate_is_a_test_report_of_one_case(
    ending: Ending, code: int, failures: str, skipped: str, child: str | None
) -> None:
    """What was let through undecided counts as skipped; control characters do not break it."""
    root = ET.fromstring(junit("checkout\x1b", "1.5.0", ending, code))  # noqa: S314 - our own
    suite = root[0]
    assert (suite.get("failures"), suite.get("skipped")) == (failures, skipped)
    assert (suite[0].get("name"), suite[0].get("time")) == ("1.5.0", "1.500")
    assert [element.tag for element in suite[0]] == ([child] if child else [])


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """One sentence with the path."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        leave(tmp_path / "file" / "gate.xml", "")
    assert caught.value.source.endswith("gate.xml")
