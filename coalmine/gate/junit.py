"""A gate as a test report of one case, which every CI system shows."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from coalmine.gate.waiting import Code, Ending
from contracts.journal import printable


def junit(service: str, name: str, ending: Ending, code: int) -> str:
    """The report.

    Args:
        service: stands where the class of a test stands.
        name: of the case: the release, and the phase where one was waited for.
        ending: how the waiting ended.
        code: exit code of the gate; what was not decided and let through counts as skipped.
    """
    is_failed = code != Code.PASSED
    is_skipped = not is_failed and ending.is_timeout
    root = ET.Element("testsuites")
    suite = ET.SubElement(
        root,
        "testsuite",
        name="coalmine gate",
        tests="1",
        failures=str(int(is_failed)),
        errors="0",
        skipped=str(int(is_skipped)),
        time=f"{ending.waited_s:.3f}",
    )
    case = ET.SubElement(
        suite,
        "testcase",
        classname=printable(service),
        name=printable(name),
        time=f"{ending.waited_s:.3f}",
    )
    message = printable(ending.sentence)
    if is_failed:
        ET.SubElement(case, "failure", type=str(ending.result), message=message).text = message
    elif is_skipped:
        ET.SubElement(case, "skipped", message=message)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
