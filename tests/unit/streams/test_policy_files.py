"""Policies that change while a worker runs."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from contracts.policy import Policies, load_policies
from streams import metrics
from streams.policy_files import PolicyFiles


def _of(directory: Path) -> tuple[PolicyFiles, Policies]:
    (directory / "shop.yaml").write_text("service: shop\ntolerance: 0.2\n", encoding="utf-8")
    policies = load_policies(directory)
    return PolicyFiles(directory, policies), policies


def _look(files: PolicyFiles, times: int = 2) -> None:
    for _ in range(times):
        asyncio.run(files.poll())


def _is_refused() -> bool:
    return metrics.REGISTRY.get_sample_value("coalmine_streams_policies_refused") == 1


def test_a_changed_policy_is_taken_by_all_who_hold_the_policies(tmp_path: Path) -> None:
    """A new file, another value, and what the whole directory says together."""
    files, policies = _of(tmp_path)
    (tmp_path / "shop.yaml").write_text("service: shop\ntolerance: 0.3\n", encoding="utf-8")
    text = "service: b\nstratify_by: route\nmetrics: [{name: x, bad: y, unit: user}]\n"
    (tmp_path / "b.yml").write_text(text, encoding="utf-8")
    _look(files)
    assert policies["shop"].tolerance == 0.3
    assert policies.is_stratified("b")
    assert "user" in policies.units
    assert files.refused() == ""


def test_a_broken_policy_is_refused_and_the_old_ones_stay(tmp_path: Path) -> None:
    """Until the file is mended; the reason names file, field and value."""
    files, policies = _of(tmp_path)
    (tmp_path / "b.yaml").write_text("service: b\ntolerance: 7000\n", encoding="utf-8")
    (tmp_path / "shop.yaml").write_text("service: shop\ntolerance: 0.3\n", encoding="utf-8")
    _look(files)
    assert policies["shop"].tolerance == 0.2
    assert "b" not in policies
    assert "b.yaml" in files.refused()
    assert "tolerance" in files.refused()
    assert _is_refused()
    (tmp_path / "b.yaml").unlink()
    _look(files)
    assert policies["shop"].tolerance == 0.3
    assert files.refused() == ""
    assert not _is_refused()


def test_a_file_that_is_half_written_is_not_taken(tmp_path: Path) -> None:
    """An empty file is a policy as well: a change must last from one look to the next."""
    files, policies = _of(tmp_path)
    path = tmp_path / "shop.yaml"
    path.write_text("", encoding="utf-8")
    _look(files, times=1)
    path.write_text("service: shop\ntolerance: 0.3\n", encoding="utf-8")
    _look(files, times=1)
    assert policies["shop"].tolerance == 0.2
    _look(files, times=1)
    assert policies["shop"].tolerance == 0.3


def test_a_directory_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """No files at all would be the default policy for every service."""
    directory = tmp_path / "policies"
    directory.mkdir()
    files, policies = _of(directory)
    shutil.rmtree(directory)
    _look(files)
    assert policies["shop"].tolerance == 0.2
    assert "no such directory" in files.refused()
    directory.mkdir()
    _of(directory)
    _look(files)
    assert files.refused() == ""
