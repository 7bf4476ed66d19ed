"""Files of tests run, and what they found, also as JUnit has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec

from coalmine.policies.cases import Case, Cases, load_cases, policy_path
from coalmine.policies.expecting import Difference, differences
from coalmine.policies.trial import Trial, check_given, try_case
from coalmine.policies.webhooks import endpoints_of, told
from contracts.errors import ConfigError
from contracts.policy import TESTS_SUFFIXES, Policy, load_policy


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """One test that was run."""

    file: str
    name: str
    policy: str
    passed: bool
    differences: list[Difference]
    outcome: str = ""
    """Of the last verdict; empty where there was none."""
    phase: str = ""
    reason: str = ""
    decisions: list[str]
    took_s: float


def files_of(paths: Sequence[Path]) -> list[Path]:
    """Files of tests: those given, and those below directories that are given.

    Raises:
        ConfigError: there are none.
    """
    files: list[Path] = []
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else []
        files += [p for p in below if p.name.endswith(TESTS_SUFFIXES)] or (
            [] if path.is_dir() else [path]
        )
    if not files:
        raise ConfigError(", ".join(map(str, paths)), "holds no file *.test.yaml")
    return files


def check_file(path: Path) -> Cases:
    """The tests of one file, checked against their policy without being run.

    Raises:
        ConfigError: the file, its policy or its endpoints are wrong.
    """
    cases, policy, _ = _read(path)
    for number, case in enumerate(cases.tests):
        if case.given is not None:
            field = f"tests[{number}].given"
            check_given(policy, case.given, source=str(path), field=field)
    if cases.endpoints:
        endpoints_of(path.parent / cases.endpoints)
    return cases


def run_file(path: Path, only: str = "") -> list[Tested]:
    """Run the tests of one file, those whose name holds ``only``.

    Raises:
        ConfigError: the file, its policy or its endpoints are wrong.
    """
    cases, policy, policy_file = _read(path)
    endpoints = path.parent / cases.endpoints if cases.endpoints else None
    return [
        _run(case, number, path, policy, policy_file, endpoints)
        for number, case in enumerate(cases.tests)
        if only in case.name
    ]


def junit(tested: Sequence[Tested]) -> str:
    """The tests as a JUnit document, one suite to a file."""
    root = ET.Element("testsuites")
    for file in dict.fromkeys(one.file for one in tested):
        of_file = [one for one in tested if one.file == file]
        failed = sum(not one.passed for one in of_file)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=file,
            tests=str(len(of_file)),
            failures=str(failed),
            errors="0",
            skipped="0",
            time=f"{sum(one.took_s for one in of_file):.3f}",
        )
        for one in of_file:
            case = ET.SubElement(
                suite, "testcase", classname=file, name=one.name, time=f"{one.took_s:.3f}"
            )
            if not one.passed:
                lines = [str(difference) for difference in one.differences]
                ET.SubElement(case, "failure", message=lines[0]).text = "\n".join(lines)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _read(path: Path) -> tuple[Cases, Policy, Path]:
    cases = load_cases(path)
    policy_file = policy_path(path, cases)
    if not policy_file.exists():
        raise ConfigError(str(path), f"there is no policy {policy_file}", field="policy")
    return cases, load_policy(policy_file), policy_file


def _run(
    case: Case,
    number: int,
    path: Path,
    policy: Policy,
    policy_file: Path,
    endpoints: Path | None,
) -> Tested:
    started = time.perf_counter()
    found = try_case(case, policy, path, number)
    sent = {
        endpoint.name: told(endpoint, found.decisions)
        for endpoint in (endpoints_of(endpoints) if endpoints else [])
    }
    for name in case.expect.webhooks.keys() - sent.keys():
        raise ConfigError(
            str(path),
            f"{endpoints} has no endpoint of this name",
            field=f"tests[{number}].expect.webhooks.{name}",
        )
    wrong = differences(case.expect, found, sent)
    return _tested(case, path, policy_file, found, wrong, time.perf_counter() - started)


def _tested(
    case: Case,
    path: Path,
    policy_file: Path,
    found: Trial,
    wrong: list[Difference],
    took_s: float,
) -> Tested:
    verdict = found.verdict
    return Tested(
        file=str(path),
        name=case.name,
        policy=str(policy_file),
        passed=not wrong,
        differences=wrong,
        outcome=verdict.outcome.value if verdict else "",
        phase=verdict.phase if verdict else "",
        reason=verdict.reason if verdict else "",
        decisions=[f"{d.phase}/{d.action.value}" for d in found.decisions],
        took_s=round(took_s, 3),
    )
