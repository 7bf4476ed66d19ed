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

    ``doubtful`` is how many lines may come that belong to the record only if a rule holds later:
    blank ones, and any when ``takes_text``.
    """

    next: tuple[Rule, ...] = ()
    after_blank: tuple[Rule, ...] = ()
    doubtful: int = 2
    takes_text: bool = False


def _rules(*pairs: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(Rule(re.compile(pattern.encode()), then) for pattern, then in pairs)


_INDENTED = r"\s+\S"
_AT = r"\s+(?:at|eval at|\.\.\.) "
_GECKO = r"[^\s@]*@(?:\S+:\d+|\[native code\])$"
_RUBY_CALL = r"\s*\S.*:\d+:in [`']"
_GO_CALL = r"(?:created by )?[\w./*()\-\[\]{}$~%@…·]+\(.*\)$"
_PYTHON_HEAD = r".*Traceback \(most recent call last\):"
_REPORT_PART = (
    r"(?:READ|WRITE|Read|Write|Previous|previously|allocated|freed|Address|Location|Mutex|Memory"
    r"|This frame|HINT|Hint|SUMMARY|Shadow|=>0x|0x[0-9a-f]+ is|Thread T?\d|Goroutine \d|The signal"
    r"|(?:Direct|Indirect) leak|Objects leaked|Uninitialized|\w+Sanitizer|Register values"
    r"|[er]?[a-z0-9]{2,3} = 0x|Command|==\d+==|=+$|Stored|Found \d+ data race)"
)
_NATIVE_PART = (
    r"(?:#\d+\s|PC: @|\*\*\* |\[0x[0-9a-f]+\]|[./\w+-]+\(.*\)\s?\[0x|=+ (?:Backtrace|Memory map)"
    r"|[0-9a-f]+-[0-9a-f]+ [rwxps-]{4}|what\(\):|Thread \d+ |Aborted|Segmentation fault"
    r"|0x[0-9a-f]+ in "
    r"|\d+\t|\(gdb\)|\[?Switching to|signal \d+ |backtrace:|Abort message|Cause: )"
)

_EXCEPTION = (
    r"(?:(?:error: )?Uncaught (?:\(in promise\) )?|Exception in thread \"[^\"]*\" "
    r"|Unhandled [eE]xception[.:] )?[\w$.\\]*(?:Exception|Error|Throwable)(?:\s*[:(]|$)"
)

EXCEPTION = "exception"
"""State after an exception's own line: a trace may come, perhaps after more of its message."""

HEADS = _rules(
    (r".*Exception Group Traceback \(most recent call last\):", "python_group"),
    (_PYTHON_HEAD, "python"),
    (r".*Fatal Python error: ", "python_fault"),
    (r"(?:Current thread|Thread) 0x[0-9a-f]+.* \(most recent call first\)", "python_fault"),
    (r"(?:.* )?Stack \(most recent call last\):", "python_stack"),
    (r"\s*File \"[^\"]*\", line \d+", "python"),
    (r"\S*RemoteTraceback:\s*$", "python_intro"),
    (r"Exception in thread [^\"]+:$|Exception ignored |Error in sys\.excepthook:", "python_intro"),
    (r".*exception was never retrieved|Exception in callback ", "python_intro"),
    (r"(?:.*\s)?(?:panic: |http: panic serving )", "go"),
    (r"fatal error: |SIG\w+: |unexpected fault address ", "go"),
    (r"goroutine \d+ [^\[]*\[", "go"),
    (r".*thread '.*' (?:\(\d+\) )?panicked at .*:\d+:\d+:$", "rust_message"),
    (r".*thread '.*' (?:\(\d+\) )?panicked at ", "rust"),
    (r".*Unhandled exception:$", "dart_message"),
    (r".*Unhandled Exception: ", "dart_rest"),
    (r".*(?:exception '.*' with message |PHP (?:Fatal|Parse) error: |Uncaught exception ')", "php"),
    (r".*PHP .*(?:Uncaught |[Ss]tack trace:)", "php"),
    (r"(?:PHP )?Fatal error: ", "php"),
    (r"(?:.*\s)?\S+:\d+:in [`'].*: ", "ruby_message"),
    (r"\s*[A-Z][\w:]* \(.*\):\s*$", "ruby"),
    (r"=+$", "report_rule"),
    (r"(?:==\d+==\s*)?(?:ERROR|WARNING): (?:\w+Sanitizer|DATA RACE)", "report"),
    (r"\S+:\d+:\d+: runtime error: ", "report"),
    (r"\*\*\* (?:Error in|Aborted at|SIG\w+|.* detected \*\*\*|\*\*\* \*\*\*)", "native"),
    (r"terminate called |libc\+\+abi: terminating|Program (?:received|terminated) ", "native"),
    (r"Thread \d+ \(|#0 +(?:0x[0-9a-f]+ in |\S+ \(.*\) (?:at|from) )", "native"),
    (r"Stack trace \(most recent call last\)|(?:Native )?[Bb]acktrace:$", "native"),
    (r"(?:/|[A-Za-z]:\\|file:///|node:)\S*:\d+$", "node_source"),
    (_EXCEPTION, EXCEPTION),
)
"""First lines of traces, and the state after them."""

HINT = (
    rb"Traceback \(|panic|Fatal Python|\(most recent call|fatal error: |[Ff]atal error: |SIG"
    rb"|unexpected fault|goroutine |Unhandled [eE]xc|xception '|PHP |:\d+$|\):\s*$|:in [`']|File \""
    rb"|Traceback:|Sanitizer|DATA RACE|runtime error: |^=+$|\*\*\* |^terminat|^libc|^Program "
    rb"|^Thread \d|^#0 |acktrace:|Exception|Error|Throwable|exception was|excepthook|callback "
)
"""Found in every first line of a trace."""

HINT_ANYWHERE = HINT.decode().replace("^", "").replace(r"\):\s*$", r"\):")
"""RE2: found in every line that has a ``HINT`` behind whatever its writer puts before it."""

EXCEPTION_HEAD = re.compile(
    rb"(?:Uncaught )?[\w$.]+(?:Exception|Error|Throwable)(?:[:\s(]|$)|Exception in thread "
)
"""An exception's own line, which loggers print below the line of the log."""

SUSPECT = (
    r"^\s|\s\s(?:at |eval at |\.\.\. |--- |---> |from )|nested exception is:|Caused by|--- End of "
    r"|[Ss]tack trace:|#0 |\[stacktrace\]|Suppressed: |Wrapped by: |:\d+:in |@\S+:\d+$"
    r"|@\[native code\]$|Traceback|panic|Fatal Python|most recent call|[Ff]atal error: |SIG[A-Z]+: "
    r"|unexpected fault|goroutine |Unhandled [eE]xc|xception '|PHP |File \"|\):\s*$|Sanitizer"
    r"|DATA RACE|: runtime error: |^=+$|\s=+$|\*\*\* |terminat|Program |Thread \d|acktrace:"
    r"|exception was never|Exception (?:ignored|in )|excepthook"
    r"|(?:^|\s)(?:/|[A-Za-z]:\\|file:///|node:)\S*:\d+$"
)
"""RE2: found in every line that begins a trace, or could be the second line of an ordinary record.

What an exception's own line begins is found by its second line.
"""

SUSPECT_BELOW_STARTS = rf"{SUSPECT}|^(?:Uncaught )?[\w$.]+(?:Exception|Error|Throwable)"
"""The same where an exception's own line continues the line of the log above it."""

_BELOW_TEXT = (
    (r"\s+nested exception is:", "nested"),
    (_AT, "stack"),
    (r"Caused by: ", "stack"),
    (r"--- End of ", "stack"),
    (r"(?:Stack trace:|#0 |\[stacktrace\])", "php"),
    (r"\s+\S.*:\d+:in [`']", "ruby"),
    (r"[^\s@]*@(?:\S+://\S+:\d+|\[native code\])$", "gecko"),
)

STATES: dict[str, State] = {
    TEXT: State(
        next=_rules(*_BELOW_TEXT, (_INDENTED, TEXT)),
        after_blank=_rules((r"\s+.*\.rb:\d+:in ", "ruby")),
    ),
    EXCEPTION: State(
        next=_rules(
            *_BELOW_TEXT, (r"(?:Caused by|Stack backtrace):$", "rust"), (_INDENTED, EXCEPTION)
        ),
        after_blank=_rules(
            (r"\s+at ", "stack"),
            (r"(?:Caused by|Stack backtrace):$", "rust"),
            (r"\s+.*:\d+:in [`']", "ruby"),
        ),
        doubtful=4,
        takes_text=True,
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
    "gecko": State(next=_rules((_GECKO, "gecko"))),
    "nested": State(next=_rules((r"\S", "message"))),
    "message": State(
        next=_rules((_AT, "stack"), (_GECKO, "gecko"), (_INDENTED, "message")),
        after_blank=_rules((r"\s+at ", "stack"), (r"Node\.js v\d", "stack")),
    ),
    "python": State(
        next=_rules(
            (r"\s+\d+: from ", "ruby_reversed"),
            (_INDENTED, "python"),
            (r"\[Previous line repeated ", "python"),
            (r"[A-Za-z_][\w.]*(?::.*)?$", "python_end"),
        ),
        after_blank=_rules((r"\s+", "python")),
    ),
    "python_end": State(
        next=_rules((_INDENTED, "python_end"), (r"\"\"\"$", "python_end")),
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
    "python_intro": State(
        next=_rules(
            (r".*Exception Group Traceback", "python_group"),
            (_PYTHON_HEAD, "python"),
            (r"(?:\"\"\"$|future: |handle: |task: |Original exception was:)", "python_intro"),
        )
    ),
    "python_stack": State(next=_rules((_INDENTED, "python_stack"))),
    "python_fault": State(
        next=_rules(
            (_INDENTED, "python_fault"),
            (r"(?:Current thread|Thread|Python runtime state|Extension modules)", "python_fault"),
            (r"(?:Current thread's C stack trace|<no Python frame>)", "python_fault"),
        ),
        after_blank=_rules(
            (r"(?:Current thread|Thread) 0x|Extension modules", "python_fault"),
            (r"Current thread's C stack trace|<no Python frame>", "python_fault"),
        ),
    ),
    "go": State(
        next=_rules(
            (_INDENTED, "go"),
            (r"(?:goroutine \d+|\[signal |created by |panic: |exit status \d)", "go"),
            (r"(?:PC=0x|\[originating from |runtime stack:|\.\.\.)", "go"),
            (r"[a-z0-9]{2,6} +0x[0-9a-f]+$", "go"),
            (_GO_CALL, "go"),
        ),
        after_blank=_rules(
            (r"(?:goroutine \d+ |\[signal |\[originating |runtime stack:|exit status \d)", "go"),
            (r"[a-z0-9]{2,6} +0x[0-9a-f]+$", "go"),
        ),
    ),
    "rust_message": State(next=_rules((r".", "rust"))),
    "rust": State(
        next=_rules((_INDENTED, "rust"), (r"(?:note: |stack backtrace:|Stack backtrace:)", "rust")),
        after_blank=_rules((r"(?:Stack backtrace:|Location:|\s+\d+: )", "rust")),
    ),
    "dart_message": State(next=_rules((r".", "dart_rest"))),
    "dart_rest": State(
        next=_rules((r"#\d+\s", "dart")),
        after_blank=_rules((r"#\d+\s", "dart")),
        doubtful=12,
        takes_text=True,
    ),
    "dart": State(
        next=_rules((r"#\d+\s", "dart"), (r"<asynchronous", "dart"), (_INDENTED, "dart"))
    ),
    "php": State(
        next=_rules(
            (r"(?:Stack trace:|#\d+ |Next \S|\[stacktrace\]|\"\})", "php"),
            (r"(?:PHP )?(?:Stack trace:| +\d+\. )", "php"),
            (_INDENTED, "php"),
        ),
        after_blank=_rules((r"Next \S", "php")),
    ),
    "ruby": State(
        next=_rules((_RUBY_CALL, "ruby"), (_INDENTED, "ruby")),
        after_blank=_rules((_RUBY_CALL, "ruby"), (r"Caus(?:ed by|es):", "ruby")),
    ),
    "ruby_message": State(
        next=_rules((_INDENTED, "ruby_message"), (r"Did you mean\?", "ruby_message")),
        after_blank=_rules((_INDENTED, "ruby_message"), (r"Did you mean\?", "ruby_message")),
    ),
    "ruby_reversed": State(
        next=_rules(
            (r"\s+\d+: from ", "ruby_reversed"),
            (r"\S+:\d+:in [`']", "ruby_message"),
            (_INDENTED, "ruby_reversed"),
        )
    ),
    "report_rule": State(
        next=_rules((r"(?:==\d+==\s*)?(?:ERROR|WARNING): (?:\w+Sanitizer|DATA RACE)", "report"))
    ),
    "report": State(
        next=_rules((_INDENTED, "report"), (_REPORT_PART, "report")),
        after_blank=_rules((_INDENTED, "report"), (_REPORT_PART, "report")),
    ),
    "native": State(
        next=_rules((_INDENTED, "native"), (_NATIVE_PART, "native")),
        after_blank=_rules((r"(?:Thread \d+ |#0|=+ |\*\*\* |\s+#?\d)", "native")),
    ),
    "node_source": State(
        next=_rules((r".", "node_caret")),
    ),
    "node_caret": State(
        next=_rules((_INDENTED, "node_caret")),
        after_blank=_rules((r".*(?:Error|Exception|Uncaught)", "message"), (r"\S", "message")),
    ),
}

CATCH_ALL = frozenset(
    {
        ("nested", "message"),
        ("rust_message", "rust"),
        ("dart_message", "dart_rest"),
        ("node_source", "node_caret"),
        ("node_caret", "message"),
    }
)
"""States, before and after, between which any line may stand."""
