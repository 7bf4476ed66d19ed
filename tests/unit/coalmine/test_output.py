"""What commands print: text of logs stays text, on a terminal too."""

from __future__ import annotations

import sys

import pytest

from coalmine.cli.output import print_table, say

HOSTILE = "[red]x[/blue] \x1b[2J\x1b]0;owned\x07\nnext\tcell \u202eabc"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_log_text_moves_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool
) -> None:
    """Neither markup of rich, nor escape sequences, nor line ends of a cell are obeyed."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    print_table(["a", "b"], [[HOSTILE, "2"]])
    printed = capsys.readouterr().out

    assert "[red]x[/blue]" in printed
    assert "\x1b]0;" not in printed
    assert "\x1b[2J" not in printed
    assert len(printed.splitlines()) == 2


def test_a_message_keeps_its_lines_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Line ends of a message stay, everything else that a terminal would obey becomes visible."""
    say("first\nsecond \x1b[2J")

    assert capsys.readouterr().err == "first\nsecond \\x1b[2J\n"
