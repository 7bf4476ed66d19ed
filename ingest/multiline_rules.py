"""How stack traces of each runtime continue from line to line: a table, no code.

A trace is in a state; a rule says which next line belongs to it, and the state after that line.
``after_blank`` rules apply when blank lines came in between: those join only if a rule holds.
States differ where the same line would mean something else, for example ``main.main()`` after a Go
panic and anywhere else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TEXT = "text"
"""State of a record in which nothing hints at a trace so far."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A line that matches ``pattern`` continues the record, which then is in state ``then``."""

    pattern: re.Pattern[bytes]
    then: str


@dataclass(frozen=True, slots=True)
class State:
    """What may follow.

    ``doubtful`` is how many lines may come that belong to the record only if a rule holds later.
    """

    next: tuple[Rule, ...] = ()
    after_blank: tuple[Rule, ...] = ()
    doubtful: int = 2


def _rules(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(re.compile(pattern.encode()), then) for pattern, then in pairs)


_INDENTED = r"\s+\S"
_AT = r"\s+(?:at|eval at|\.\.\.) "
_GO_CALL = r"(?:created by )?[\w./*()\-\[\]{}$~%@…·]+\(.*\)$"
_PYTHON_HEAD = r".*Traceback \(most recent call last\):"

HEADS = _rules(
    (r".*Exception Group Traceback \(most recent call last\):", "python_group"),
    (_PYTHON_HEAD, "python"),
    (r".*Fatal Python error: ", "python_fault"),
    (r"(?:.*\s)?(?:panic: |http: panic serving )", "go"),
    (r"fatal error: ", "go"),
    (r"goroutine \d+ \[", "go"),
    (r".*thread '.*' (?:\(\d+\) )?panicked at .*:\d+:\d+:$", "rust_message"),
    (r".*thread '.*' (?:\(\d+\) )?panicked at ", "rust"),
    (r".*Unhandled exception:$", "dart_message"),
    (r".*(?:exception '.*' with message |PHP (?:Fatal|Parse) error: |Uncaught exception ')", "php"),
    (r".*PHP .*Uncaught ", "php"),
    (r"(?:/|[A-Za-z]:\\|file:///|node:)\S*:\d+$", "node_source"),
)
"""First lines of traces, and the state after them."""

EXCEPTION_HEAD = re.compile(
    rb"(?:Uncaught )?[\w$.]+(?:Exception|Error|Throwable)(?:[:\s(]|$)|Exception in thread "
)
"""An exception's own line, which loggers print below the line of the log."""

STATES: dict[str, State] = {
    TEXT: State(
        next=_rules(
            (r"\s+nested exception is:", "nested"),
            (_AT, "stack"),
            (r"Caused by: ", "stack"),
            (r"--- End of ", "stack"),
            (r"(?:Stack trace:|#0 )", "php"),
            (_INDENTED, TEXT),
        ),
        after_blank=_rules((r"\s+.*\.rb:\d+:in ", "stack")),
    ),
    "stack": State(
        next=_rules(
            (r"\s+nested exception is:", "nested"),
            (r"(?:Caused by|Suppressed|Wrapped by): ", "stack"),
            (r"--- End of ", "stack"),
            (r"\}$", "stack"),
            (_INDENTED, "stack"),
        ),
        after_blank=_rules(
            (r"\s+at ", "stack"), (r"Caused by: ", "stack"), (r"Node\.js v\d", "stack")
        ),
    ),
    "nested": State(next=_rules((r"\S", "message"))),
    "message": State(
        next=_rules((_AT, "stack"), (_INDENTED, "message")),
        after_blank=_rules((r"\s+at ", "stack"), (r"Node\.js v\d", "stack")),
    ),
    "python": State(
        next=_rules((_INDENTED, "python"), (r"[A-Za-z_][\w.]*(?::.*)?$", "python_end")),
        after_blank=_rules((r"\s+", "python")),
    ),
    "python_end": State(
        next=_rules((_INDENTED, "python_end")),
        after_blank=_rules(
            (r"During handling of the above exception", "python_chain"),
            (r"The above exception was the direct cause", "python_chain"),
        ),
    ),
    "python_chain": State(
        next=_rules((_PYTHON_HEAD, "python")),
        after_blank=_rules(
            (r".*Exception Group Traceback", "python_group"), (_PYTHON_HEAD, "python")
        ),
    ),
    "python_group": State(
        next=_rules((r"\s+[|+]", "python_group")),
        after_blank=_rules(
            (r"During handling of the above exception", "python_chain"),
            (r"The above exception was the direct cause", "python_chain"),
        ),
    ),
    "python_fault": State(
        next=_rules(
            (_INDENTED, "python_fault"),
            (r"(?:Current thread|Thread|Python runtime state|Extension modules)", "python_fault"),
        ),
        after_blank=_rules((r"(?:Current thread|Thread) 0x|Extension modules", "python_fault")),
    ),
    "go": State(
        next=_rules(
            (_INDENTED, "go"),
            (r"(?:goroutine \d+|\[signal |created by |panic: |exit status \d)", "go"),
            (r"\.\.\.", "go"),
            (_GO_CALL, "go"),
        ),
        after_blank=_rules((r"(?:goroutine \d+ |\[signal |runtime stack:|exit status \d)", "go")),
    ),
    "rust_message": State(next=_rules((r".", "rust"))),
    "rust": State(next=_rules((_INDENTED, "rust"), (r"(?:note: |stack backtrace:)", "rust"))),
    "dart_message": State(next=_rules((r".", "dart_rest"))),
    "dart_rest": State(
        next=_rules((r"#\d+\s", "dart")), after_blank=_rules((r"#\d+\s", "dart")), doubtful=12
    ),
    "dart": State(
        next=_rules((r"#\d+\s", "dart"), (r"<asynchronous", "dart"), (_INDENTED, "dart"))
    ),
    "php": State(
        next=_rules((r"(?:Stack trace:|#\d+ |Next \S)", "php"), (_INDENTED, "php")),
        after_blank=_rules((r"Next \S", "php")),
    ),
    "node_source": State(
        next=_rules((r".", "node_caret")),
    ),
    "node_caret": State(
        next=_rules((_INDENTED, "node_caret")),
        after_blank=_rules((r".*(?:Error|Exception|Uncaught)", "message"), (r"\S", "message")),
    ),
}
