from __future__ import annotations

from ingest.lines import LineSplitter


def test_a_line_may_come_in_pieces() -> None:
    """A line is given when its newline comes, with the offset after it."""
    splitter = LineSplitter(100, offset=10)

    first = splitter.feed(b"ab")
    second = splitter.feed(b"c\nde\nf")

    assert first.lines == []
    assert (second.lines, second.ends) == ([b"abc", b"de"], [14, 17])
    assert splitter.has_partial


def test_a_long_line_is_cut_and_marked() -> None:
    """A line above the limit keeps its beginning and its full length; the next line is whole."""
    splitter = LineSplitter(4)

    pieces = [splitter.feed(b"abc"), splitter.feed(b"defg"), splitter.feed(b"hi\nok\n")]

    assert (pieces[2].lines, pieces[2].ends) == ([b"abcd", b"ok"], [10, 13])
    assert pieces[2].cut == {0: 9}


def test_a_long_line_is_not_held_in_memory() -> None:
    """However long a line grows, the splitter keeps no more than the limit."""
    splitter = LineSplitter(10)

    for _ in range(100):
        splitter.feed(b"x" * 1000)

    rest = splitter.flush()
    assert (rest.lines, rest.cut) == ([b"x" * 10], {0: 100_000})


def test_flush_gives_the_unfinished_line() -> None:
    """A last line without newline is given when asked for, once."""
    splitter = LineSplitter(100)
    splitter.feed(b"a\nb")

    assert splitter.flush().lines == [b"b"]
    assert splitter.flush().lines == []
