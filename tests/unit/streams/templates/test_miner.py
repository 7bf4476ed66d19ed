"""Templates: what varies is wild, what does not is kept, whatever the order and the batches."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.templates.headers import header_of, without_headers
from streams.templates.miner import Miner, MinerState
from streams.templates.words import form_of

WORDS = st.sampled_from(["cart", "of", "user", "paid", "17", "0x1f", "a=b", "'x y'", "/srv/x", ""])
LINES = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=60)


def grouped(lines: list[str], sizes: list[int]) -> list[str]:
    """Template id of each line, the lines mined in batches of these sizes, then what is left."""
    miner = Miner(is_forgetful=False)
    numbers: list[int] = []
    for size in [*sizes, len(lines)]:
        numbers += miner.mine(lines[len(numbers) : len(numbers) + size])
    return [miner.templates[number].id for number in numbers]


def partition(ids: list[str]) -> list[int]:
    """Each line's first line of the same template: equal where the groups are."""
    return [ids.index(template_id) for template_id in ids]


@given(LINES, st.lists(st.integers(1, 20), max_size=6))
def test_batches_do_not_change_what_belongs_together(lines: list[str], sizes: list[int]) -> None:
    """One batch or many: the same groups in the order of the lines, and every line counted."""
    assert partition(grouped(lines, sizes)) == partition(grouped(lines, []))


@given(st.permutations(["ann", "bob", "carl", "dora", "emil", "fritz", "gina"]), st.integers(1, 7))
def test_the_order_of_lines_does_not_change_their_group(names: list[str], size: int) -> None:
    """A place that proves to be a variable was one from the first line on, in any order."""
    lines = [line for name in names for line in (f"left: {name} now", f"came: {name} now", "idle")]
    ids = grouped(lines, [size])
    assert partition(ids) == [0, 1, 2] * len(names)


@given(LINES, LINES)
def test_a_miner_goes_on_from_its_state(before: list[str], after: list[str]) -> None:
    """Through bytes and back: what comes next gets the ids that it would have got."""
    going_on = Miner()
    going_on.mine(before)
    state = msgspec.msgpack.encode(going_on.to_state())
    again = Miner.from_state(msgspec.msgpack.decode(state, type=MinerState))
    ids = [[m.templates[n].id for n in m.mine(after)] for m in (going_on, again)]
    assert ids[0] == ids[1]
    assert {t.id: t.count for t in again.to_templates()} == {
        t.id: t.count for t in going_on.to_templates()
    }


@pytest.mark.parametrize("is_forgetful", [True, False])
def test_a_log_without_any_pattern_does_not_fill_memory(*, is_forgetful: bool) -> None:
    """Words at random: the limit holds, and every line still has a template."""
    miner = Miner(50, is_forgetful=is_forgetful)
    for batch in range(20):
        lines = [f"{chr(97 + n % 26)}{'x' * (n // 26)} {'y' * batch} end" for n in range(80)]
        assert len(miner.mine(lines)) == 80
        assert len(miner.to_templates()) <= 101
    words = " ".join("w" * (n % 7 + 1) for n in range(900))
    assert len(form_of(words)) <= 101


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 5 ms", "took 1.25 s"),
        ("login of ann@example.org from 10.1.2.3", "login of b.c@shop.example from ::1:2:3:4"),
        ("open /srv/a.txt: denied", "open ../b/c.conf: denied"),
        ("host a.example.com is up", "host 5.36.59.76.dsl.example.net is up"),
        ("sent 12 bytes (1.2 KB)", "sent 3 bytes"),
        ("peers [1, 2, 3]", "peers [17]"),
        ("map (a1b2c3d4 -> 7), (ffee0011 -> 9) ready", "map (a1b2c3d4 -> 7) ready"),
        ("id=7f3a name=ann state=Up{3}", "id=0001 name=null state=Down{a b}"),
        ("user ann left", "user test9 left"),
        ("blk_-17 of com.shop.cart done", "blk_4 of org.other.app done"),
        ("task 0xdeadbeef at 2026-11-25 10:00:00,123", "task 0x1 at 2026-01-02 03:04:05,6"),
    ],
)
def test_values_of_any_kind_are_wild(one: str, other: str) -> None:
    """Numbers, sizes, hosts, paths, lists, names, pairs: two lines, one template."""
    assert len(set(grouped([one, other], []))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VM Started (Lifecycle Event)", "VM Paused (Lifecycle Event)"),
        ("read failed: timed out", "read failed: reset by peer"),
        ("force=true", "force=false"),
        ("got action.SCREEN_ON", "got action.SCREEN_OFF"),
        ("java.io.IOException: closed", "java.io.EOFException: closed"),
        ('{"level":"info","msg":"started"}', '{"level":"info","msg":"stopped"}'),
        ('level=info msg="slow query" ms=5', 'level=info msg="retry later" ms=5'),
        ('"GET /cart HTTP/1.1" 200', '"POST /cart HTTP/1.1" 200'),
    ],
)
def test_what_the_program_says_is_kept(one: str, other: str) -> None:
    """States, reasons, flags and methods of code are no values."""
    assert len(set(grouped([one, other], []))) == 2


@pytest.mark.parametrize(
    "header",
    [
        "Jun 14 15:16:{:02} combo sshd(pam_unix)[199{:02}]: ",
        "2026-11-25 10:00:{:02},123 INFO [worker-{:02}] org.shop.Cart: ",
        "2026-11-25T10:00:{:02}.1{:02}Z WARN ",
        "[Sun Dec 04 04:47:{:02} 2005] [notice] [client 10.0.0.{}] ",
        "03-17 16:13:{:02}.8{:02}  1702  2395 D ",
        "26/11/25 10:00:{:02} INFO executor.Backend{}: ",
        "api.log.1 2026-11-25 10:00:{:02}.008 257{:02} INFO nova.wsgi [req-1 - - -] ",
        "20171223-22:15:{}:606|Step_LSC|300{:02}|",
    ],
)
def test_headers_of_many_loggers_are_cut(header: str) -> None:
    """What is left is what the program said."""
    raw = pa.array([header.format(n, n) + "cart is full" for n in range(10, 30)])
    assert set(without_headers(raw, header_of(raw)).to_pylist()) == {"cart is full"}


def test_messages_alone_keep_their_beginning() -> None:
    """Where few lines begin with a time, it is a value and no header."""
    messages = pa.array(["10:00:01 is late", *["cart is full", "user: unknown", "x - y"] * 9])
    assert header_of(messages) is None
    assert without_headers(messages, None) is messages
