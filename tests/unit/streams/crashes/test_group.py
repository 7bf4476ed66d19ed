"""A fingerprint survives what a release, a host or a run changes, and nothing else."""

from __future__ import annotations

import pytest

from contracts.records import Crash, Frame
from streams.crashes.group import ALGORITHM, group_of

TRACE = """Traceback (most recent call last):
  File "/srv/checkout/1.4.2/shop/web.py", line 12, in post
    total(cart)
  File "/srv/checkout/1.4.2/shop/cart.py", line 88, in total
    return prices[item]
KeyError: 'gift-card-4711'
"""


def crash(stacktrace: str = "", **more: object) -> Crash:
    """A crash of which only the fields given matter."""
    return Crash(time=1, service="checkout", release="1", stacktrace=stacktrace, **more)  # type: ignore[arg-type]  # fields of any type


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.4.2", "1.5.0"),
        ("line 88", "line 93"),
        ("gift-card-4711", "voucher-9"),
        ("/srv/checkout/1.4.2", "/home/deploy/build-77"),
        ("return prices[item]", "return self.prices[item]"),
    ],
)
def test_another_release_host_line_or_message_is_the_same_group(old: str, new: str) -> None:
    """What differs between two sightings of one bug does not change its fingerprint."""
    assert old in TRACE
    assert (
        group_of(crash(TRACE)).fingerprint == group_of(crash(TRACE.replace(old, new))).fingerprint
    )


@pytest.mark.parametrize(
    ("old", "new"), [("KeyError", "TypeError"), ("in total", "in taxes"), ("cart.py", "stock.py")]
)
def test_another_type_function_or_module_is_another_group(old: str, new: str) -> None:
    """What tells two bugs apart does change the fingerprint."""
    assert (
        group_of(crash(TRACE)).fingerprint != group_of(crash(TRACE.replace(old, new))).fingerprint
    )


def test_a_group_says_what_broke_and_where() -> None:
    """Title, culprit, runtime and algorithm are what a person and a store need."""
    group = group_of(crash(TRACE))
    assert group.title == "KeyError: 'gift-card-4711'"
    assert group.culprit == "cart.total"
    assert group.runtime == "python"
    assert group.algorithm == ALGORITHM
    assert [call.name for call in group.frames] == ["web.post", "cart.total"]


def test_the_depth_of_a_recursion_does_not_matter() -> None:
    """Mutual recursion of 5 and of 900 rounds is one crash."""
    line = '  File "a.py", line 1, in {}\n'
    two = [
        "Traceback (most recent call last):\n"
        + (line.format("even") + line.format("odd")) * depth
        + "RecursionError: too deep\n"
        for depth in (5, 900)
    ]
    assert group_of(crash(two[0])).fingerprint == group_of(crash(two[1])).fingerprint


def test_a_trace_of_frameworks_only_is_grouped_by_all_its_calls() -> None:
    """Where nothing is the user's own, every call tells."""
    text = 'Traceback:\n  File "/x/site-packages/{}.py", line 1, in f\nOSError\n'
    first, second = group_of(crash(text.format("a"))), group_of(crash(text.format("b")))
    assert first.fingerprint != second.fingerprint
    assert first.culprit == "a.f"


def test_without_calls_the_masked_message_decides() -> None:
    """Ids and numbers in a message make no new group; other words do."""
    one = crash(exception_type="Timeout", exception_message="order 17 of bob@example.org timed out")
    two = crash(exception_type="Timeout", exception_message="order 9 of eve@example.org timed out")
    three = crash(exception_type="Timeout", exception_message="stock 9 timed out")
    assert group_of(one).fingerprint == group_of(two).fingerprint
    assert group_of(one).fingerprint != group_of(three).fingerprint


def test_frames_of_a_report_are_taken_where_its_text_names_no_calls() -> None:
    """Every trace in text is read by the same rules; what only frames tell is believed."""
    frames = [
        Frame(module="shop.web", function="post", in_app=True),
        Frame(module="shop.vendored", function="call", in_app=False),
    ]
    group = group_of(crash(frames=frames, runtime="CPython", exception_type="KeyError"))
    assert [call.name for call in group.frames] == ["shop.web.post"]


def test_the_same_error_in_two_browsers_is_one_group() -> None:
    """Chrome's and Firefox's ways to write one stack give one fingerprint."""
    chrome = (
        "TypeError: x is undefined\n    at Object.pay (https://a.example/app.12ab34cd.js:1:2)\n"
    )
    firefox = "TypeError: x has no price\npay@https://a.example/app.99ff00aa.js:9:9\n"
    assert group_of(crash(chrome)).fingerprint == group_of(crash(firefox)).fingerprint


def test_a_storm_of_crashes_that_differ_in_their_messages_is_one_group() -> None:
    """Numbers in a message are not what the crash is."""
    crashes = [crash(TRACE.replace("4711", str(n))) for n in range(200)]
    assert len({group_of(c).fingerprint for c in crashes}) == 1
