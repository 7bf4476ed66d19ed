"""What a gate leaves behind: for CI systems, and for whoever reads the job's page."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TextIO

from coalmine.gate.waiting import Code, Ending
from contracts.errors import ConfigError
from contracts.journal import printable

_SECTION = "coalmine_gate"


class System(StrEnum):
    """A CI system that is told in its own words."""

    GITHUB = "GitHub Actions"
    GITLAB = "GitLab CI"
    JENKINS = "Jenkins"
    OTHER = ""


def system_of(environment: Mapping[str, str]) -> System:
    """The CI system that this environment is of."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return System.GITHUB
    if environment.get("GITLAB_CI"):
        return System.GITLAB
    return System.JENKINS if environment.get("JENKINS_URL") else System.OTHER


@contextmanager
def section(system: System, title: str, output: TextIO) -> Iterator[None]:
    """Lines in between can be folded away on the job's page."""
    now_s = int(time.time())
    if system is System.GITHUB:
        output.write(f"::group::{_escaped(title)}\n")
    elif system is System.GITLAB:
        start = f"section_start:{now_s}:{_SECTION}"
        output.write(f"\x1b[0K{start}\r\x1b[0K{printable(title)}\n")
    output.flush()
    try:
        yield
    finally:
        if system is System.GITHUB:
            output.write("::endgroup::\n")
        elif system is System.GITLAB:
            output.write(f"\x1b[0Ksection_end:{int(time.time())}:{_SECTION}\r\x1b[0K\n")
        output.flush()


def annotation(system: System, title: str, ending: Ending, code: int) -> str:
    """The line by which the system marks the job; for others the same in plain words.

    >>> from coalmine.gate.waiting import Ending
    >>> late = Ending(None, 60.0, is_timeout=True)
    >>> annotation(System.GITHUB, "shop 1.5", late, 4)
    '::error title=Coalmine%3A shop 1.5::inconclusive. Not decided within 60 s.'
    """
    said = f"{ending.result}. {ending.sentence}"
    if system is System.GITHUB:
        level = "notice" if code == Code.PASSED else "error"
        name = _escaped(f"Coalmine: {title}").replace(":", "%3A").replace(",", "%2C")
        return f"::{level} title={name}::{_escaped(said)}"
    word = "passed" if code == Code.PASSED else "ERROR"
    return f"coalmine gate: {word}: {printable(title)}: {printable(said)}"


def leave_summary(environment: Mapping[str, str], title: str, ending: Ending, code: int) -> None:
    """Write GitHub's job summary and outputs, where it names files for them."""
    summary = environment.get("GITHUB_STEP_SUMMARY")
    if summary:
        leave(Path(summary), _markdown(title, ending, code), mode="a")
    outputs = environment.get("GITHUB_OUTPUT")
    if outputs:
        names = {
            "COALMINE_RESULT": "result",
            "COALMINE_ROLLOUT": "rollout",
            "COALMINE_PHASE": "phase",
        }
        lines = (line.partition("=") for line in dotenv(ending).splitlines())
        text = "".join(f"{names[name]}={value}\n" for name, _, value in lines)
        leave(Path(outputs), text, mode="a")


def dotenv(ending: Ending) -> str:
    """Variables for later jobs."""
    state = ending.state
    rollout, phase = (state.rollout, state.phase) if state else ("", "")
    fields = {"RESULT": str(ending.result), "ROLLOUT": rollout, "PHASE": phase}
    return "".join(f"COALMINE_{name}={printable(value)}\n" for name, value in fields.items())


def leave(path: Path, text: str, *, mode: str = "w") -> None:
    """Write a file for others, its directory included.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be written: {error.strerror}") from error


def _markdown(title: str, ending: Ending, code: int) -> str:
    sign = "✅" if code == Code.PASSED else "❌"
    lines = [
        f"### {sign} Coalmine: {_cell(title)}",
        "",
        f"{ending.result}. {_cell(ending.sentence)}",
    ]
    if (state := ending.state) is not None and state.rollout:
        facts = {
            "rollout": state.rollout,
            "phase": state.phase,
            "status": str(state.status or ""),
            "evidence": f"{state.evidence_log10:.2f} of {state.rollback_at_log10:.2f}",
            "guilty": state.guilty_group or state.guilty_metric,
            "held": state.held_because,
            "policy": state.policy_hash,
        }
        rows = [f"| {name} | {_cell(value)} |" for name, value in facts.items() if value]
        lines += ["", "| | |", "|---|---|", *rows]
    return "\n".join([*lines, "", ""])


def _cell(text: str) -> str:
    """Text that no markup of a table or of HTML is made of."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("|", "&#124;")


def _escaped(text: str) -> str:
    """As GitHub wants the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
