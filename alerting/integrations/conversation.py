"""What a preset says: requests, the answers it is given, and how its conversation ends.

Plain values without a socket. A conversation is a generator: it yields a request, is sent the
answer, and returns an ending. Whoever runs it (``alerting.conversing``) signs, sends, and ends it
by itself where trying again can help: after a timeout, a broken connection, 408, 425, 429 or 5xx.
So a conversation is only sent answers that mean something, and is run anew, from its start, with
each attempt: what it asks for must do no harm when it is asked twice.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import msgspec

from contracts.config import Secret

Text: TypeAlias = str | Secret
"""What may be a secret: records and logs show such a value as ``***``."""

ANSWER_BYTES = 64 * 1024
"""How much of an answer is read unless a request says otherwise."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a request, and what records may show of them."""

    sent: bytes = field(default=b"", repr=False)
    shown: str = ""


def json_body(document: Any) -> Body:  # noqa: ANN401 - any JSON
    """A document as JSON; secrets may stand anywhere in it.

    >>> json_body({"token": Secret("t")})
    Body(shown='{"token":"***"}')
    """
    sent = msgspec.json.encode(document, enc_hook=_reveal)
    return Body(sent, msgspec.json.encode(document, enc_hook=str).decode())


def form_body(fields: Mapping[str, Text]) -> Body:
    """Fields as ``application/x-www-form-urlencoded``; values may be secrets.

    >>> form_body({"ref": "main", "token": Secret("t")})
    Body(shown='ref=main&token=%2A%2A%2A')
    """
    sent = urlencode({name: revealed(value) for name, value in fields.items()})
    return Body(sent.encode(), urlencode({name: str(value) for name, value in fields.items()}))


def text_body(text: str) -> Body:
    """A text that holds no secret."""
    return Body(text.encode(), text)


def path(*segments: str | int) -> str:
    """Segments as the path of a request, each quoted: none can lead elsewhere.

    >>> path("projects", "shop/web", 3)
    '/projects/shop%2Fweb/3'

    Raises:
        UnusableError: a segment is empty, ``.`` or ``..``.
    """
    texts = [str(segment) for segment in segments]
    for text in texts:
        if text in {"", ".", ".."}:
            raise UnusableError(f"{text!r} cannot be part of a path")
    return "".join(f"/{quote(text, safe='')}" for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request, relative to the endpoint's address."""

    method: str = "GET"
    path: str = ""
    """Appended to the path of the endpoint's ``url``."""
    query: Mapping[str, Text] = field(default_factory=dict)
    headers: Mapping[str, Text] = field(default_factory=dict)
    """Those of the preset; the runner adds the endpoint's credentials."""
    body: Body = Body()
    answer_bytes: int = ANSWER_BYTES
    """How much of the answer is read; ``Answer.is_cut`` says that there was more."""

    @property
    def shown(self) -> str:
        """As records show it."""
        return f"{self.method} {self.path or '/'}"


@dataclass(frozen=True, slots=True)
class SocketLine:
    """A line to the admin socket that the endpoint's ``unix://`` or ``tcp://`` address names.

    The answer's body is what the tool says until it closes the connection.

    Raises:
        UnusableError: it is not one line.
    """

    line: str

    def __post_init__(self) -> None:
        if not self.line.isprintable():
            raise UnusableError("a command must be one line")

    @property
    def shown(self) -> str:
        """As records show it."""
        return self.line

    @property
    def body(self) -> Body:
        """As it is sent."""
        return text_body(f"{self.line}\n")


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What stands in the file that the endpoint's ``file://`` address names; 404 if there is none.

    It is answered with 200 and the content.
    """

    body: Body = Body()
    shown: str = "read file"


@dataclass(frozen=True, slots=True)
class ReplaceFile:
    """Give that file new content, all at once: a reader sees the old or the new, never a part.

    Where the path is a symbolic link, the file that it leads to is replaced. Answered with 200.
    """

    body: Body
    shown: str = "replace file"


@dataclass(frozen=True, slots=True)
class RunCommand:
    """Run a command that stands in the options, without a shell and within the attempt's time.

    Answered with 200, or with 422 where its exit code is not 0; the body is what it printed.
    """

    argv: tuple[str, ...]
    body: Body = Body()

    @property
    def shown(self) -> str:
        """As records show it."""
        return " ".join(self.argv)


Request: TypeAlias = HttpRequest | SocketLine | ReadFile | ReplaceFile | RunCommand
"""What a conversation may ask for. Paths and commands come from the endpoints file only."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. A conversation is only sent one without a ``failure``."""

    status: int | None = None
    failure: str = ""
    """``timeout``, ``connection``, ``name``, ``tls``, ``protocol``, ``forbidden address``, ``file``
    or ``command``."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of several the first."""
    body: bytes = b""
    is_cut: bool = False
    """Whether the body is not complete."""
    duration_ms: float = 0.0

    @property
    def is_ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body, read leniently."""
        return self.body.decode("utf-8", "replace")

    def json(self, *steps: str | int) -> Any:  # noqa: ANN401 - any JSON
        """The value at a place in the JSON body; ``None`` where there is none.

        >>> Answer(200, body=b'{"items": [{"id": 7}]}').json("items", 0, "id")
        7

        Raises:
            UnreadableError: the body is not complete, or not JSON.
        """
        if self.is_cut:
            raise UnreadableError("the answer is too long, or was broken off")
        try:
            value = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnreadableError("the answer is not JSON") from error
        return at(value, *steps)


def at(value: Any, *steps: str | int) -> Any:  # noqa: ANN401 - any JSON
    """The value at a place in a document; ``None`` where there is none.

    >>> at({"spec": {"ports": [80]}}, "spec", "ports", 0), at({}, "spec", "ports")
    (80, None)
    """
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


@dataclass(frozen=True, slots=True)
class Delivered:
    """The tool took it; of ``verify``: the effect is there."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The tool said no and will say so again; of ``verify``: the effect will not come."""

    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; of ``verify``: the effect is not there yet."""

    reason: str


Ending: TypeAlias = Delivered | Refused | Retry
Conversation: TypeAlias = Generator[Request, Answer, Ending]


class UnusableError(Exception):
    """The decision, with these options, cannot be said to this tool: it is refused."""


class UnreadableError(Exception):
    """An answer cannot be understood; it may be better next time."""


def taken(answer: Answer) -> Ending:
    """The ending of most conversations: 2xx is delivered, anything else refused.

    >>> taken(Answer(204)), taken(Answer(403))
    (Delivered(), Refused(reason='http 403'))
    """
    return Delivered() if answer.is_ok else Refused(f"http {answer.status}")


def revealed(text: Text) -> str:
    """The value itself, for whoever sends it."""
    return text.reveal() if isinstance(text, Secret) else text


def _reveal(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise NotImplementedError(f"{type(value).__name__} is not JSON")
