"""The JVM's own crash files (``hs_err_pid*.log``): why and where, not what else stood in memory."""

from __future__ import annotations

import re

from contracts.records import Frame
from ingest.tracebacks.base import Traceback, frames_of

_HEAD = "# A fatal error has been detected by the Java Runtime Environment"
_MEMORY = "# There is insufficient memory for the Java Runtime Environment"
_KEPT = re.compile(
    r"^(?:#.*|Current thread.*|Stack: .*|(?:Native|Java) frames: .*|siginfo:.*|[jJvVCA~] +\S.*)$",
    re.MULTILINE,
)
"""Environment, command line, registers and memory of the process stay on the machine."""
_TYPE = re.compile(
    r"^#\s+(?P<type>SIG[A-Z]+|EXCEPTION_\w+|Internal Error|Out of Memory Error) \(", re.MULTILINE
)
_WHERE = re.compile(r"^# Problematic frame:\n#\s+(?P<message>[^\n]+)", re.MULTILINE)
_WHY = re.compile(r"^#\s+(?P<message>(?:fatal error|Error|assert[^\n:]*): [^\n]+)", re.MULTILINE)
_THREAD = re.compile(r"^Current thread[^\n]*?Thread \"(?P<name>[^\"\n]+)\"", re.MULTILINE)
_FRAME = re.compile(
    r"^(?:[CVv] +\[(?P<file>[^+\]\s]+)\+0x[0-9a-f]+\] *(?P<native>[^\n+]*)[^\n]*"
    r"|[jJ] +(?:\d+ +(?:% *)?(?:c\d +)?)?(?P<module>[\w$./]+)\.(?P<function>[\w$<>]+)\([^\n]*)$",
    re.MULTILINE,
)
_LIBRARY = re.compile(
    r"^(?:lib(?:jvm|c|java|pthread|jli|net|nio)[.-]|ld-linux)"
    r"|^(?:java|javax|jakarta|jdk|sun|com\.sun|scala|kotlin)\."
)


def parse(text: str) -> Traceback | None:
    """Signal, problematic frame, thread and frames; ``text`` has nothing but these."""
    if _HEAD not in text and _MEMORY not in text:
        return None
    report = re.split(r"^-+ +P R O C E S S", text, maxsplit=1, flags=re.MULTILINE)[0]
    kept = "\n".join(_KEPT.findall(report))
    found = _TYPE.search(kept)
    said = _WHERE.search(kept) or _WHY.search(kept)
    thread = _THREAD.search(kept)
    return Traceback(
        "java",
        found["type"] if found else "Out of Memory Error" if _MEMORY in text else "",
        said["message"] if said else "",
        _frames(kept),
        thread=thread["name"] if thread else "",
        text=kept,
    )


def _frames(kept: str) -> list[Frame]:
    """The native section, which has Java's calls too; its Java section where that has none."""
    native, _, java = kept.partition("\nJava frames: ")
    native = native.partition("\nNative frames: ")[2]
    has_java = re.search(r"^[jJ] ", native, re.MULTILINE)
    shown = native if has_java else f"{native}\n{java}"
    native_names = re.compile(_FRAME.pattern, re.MULTILINE)
    frames = frames_of(shown, native_names, _LIBRARY, innermost_first=True)
    natives = [m["native"] or "" for m in native_names.finditer(shown)][::-1][-len(frames) :]
    for frame, name in zip(frames, natives, strict=False):
        frame.function = frame.function or name.strip()
    return frames
