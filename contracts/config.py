"""YAML files that users write: read into a type, or refused with file, line, field and value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import _json_schema

from contracts.errors import ConfigError

T = TypeVar("T")

_PATH_IN_MESSAGE = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_PATH_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_REFERENCE = re.compile(r"\$\{(env|file):([^}]+)\}")


_CLOCK = re.compile(r"^\d\d?(?::[0-5]\d)+$")


class _Loader(yaml.SafeLoader):
    """Takes ``17:00`` for a text, as YAML 1.2 does; to YAML 1.1 it is the number 1020."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the library has it
        first: [("tag:yaml.org,2002:str", _CLOCK), *found] if first.isdigit() else found
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class Secret:
    """A value that never prints: ``repr`` and ``str`` give ``***``; ``reveal()`` gives it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that must use it."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class FileSecret(Secret):
    """The content of a file as it is now: tokens that others renew stay valid without a restart.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be read; later its last content counts then.
        UnicodeDecodeError: it is no text.
    """

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(self._read())

    def reveal(self) -> str:
        """See ``Secret``."""
        try:
            self._value = self._read()
        except (OSError, UnicodeDecodeError):
            return self._value  # it is being replaced
        return self._value

    def _read(self) -> str:
        return self._path.read_text(encoding="utf-8").strip()


class Seconds(float):
    """A duration; written in YAML as ``10m``, ``1.5s``, ``500ms``, or as a number of seconds."""


class Document:
    """A YAML file that was read, and of which parts can be turned into types.

    Args:
        text: what stands in it.
        source: its name in errors.

    Raises:
        ConfigError: not YAML.
    """

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        try:
            self._root = yaml.compose(text, Loader=_Loader)
            self._value = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
        except (yaml.YAMLError, ValueError) as error:  # the latter of a date that there is not
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else None
            problem = getattr(error, "problem", None) or str(error)
            raise ConfigError(source, f"not valid YAML: {problem}", line=line) from error
        except RecursionError as error:
            raise ConfigError(source, "not valid YAML: nested too deeply") from error

    @classmethod
    def read(cls, path: Path) -> Document:
        """The document in a file.

        Raises:
            ConfigError: unreadable, or not YAML.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(str(path), f"cannot be read: {error}") from error
        return cls(text, str(path))

    def line_of(self, field: str) -> int | None:
        r"""The line of a field such as ``phases[1].exposure``, or of what it would stand in.

        >>> Document("service: checkout\nphases:\n- name: canary\n", "").line_of("phases[0].users")
        3
        """
        _, steps = _split_path(f" - at `$.{field}`")
        node, _ = _walk(self._root, self._value, steps)
        return node.start_mark.line + 1 if node else None

    def convert(self, as_type: type[T], *at: str | int) -> T:
        """The value at a place, the whole by default, as a type; nothing there is its defaults.

        Args:
            as_type: what it is to become.
            at: the steps to it, for example ``"endpoints", 0, "options"``.

        Raises:
            ConfigError: an unknown field, a value that does not fit.
        """
        part = self._value
        for step in at:
            part = part.get(step) if isinstance(part, dict) else part[step] if part else None
        try:
            return msgspec.convert({} if part is None else part, as_type, dec_hook=_decode_value)
        except msgspec.ValidationError as error:
            expected, below = _split_path(str(error))
            steps = [*at, *below]
            node, found = _walk(self._root, self._value, steps)
            is_shown = not isinstance(error.__cause__, _SecretError)
            raise ConfigError(
                self.source,
                _unfold(expected),
                line=node.start_mark.line + 1 if node else None,
                field=_dotted(steps),
                value=found if is_shown and not isinstance(found, dict | list) else None,
            ) from error


def load(path: Path, as_type: type[T]) -> T:
    """Read one YAML file into ``as_type``; an empty file is the type's defaults.

    Raises:
        ConfigError: unreadable, not YAML, an unknown field, a value that does not fit.
    """
    return Document.read(path).convert(as_type)


def parse(text: str, as_type: type[T], *, source: str) -> T:
    """Like ``load``, from a text; ``source`` is the name that errors give."""
    return Document(text, source).convert(as_type)


class _SecretError(ValueError):
    """What is wrong with a secret; the value that was found is not shown."""


def resolve_secret(reference: str, *, source: str, field: str) -> Secret:
    """The secret behind ``${env:NAME}`` or ``${file:/path}``; secrets never stand in a file itself.

    Raises:
        ConfigError: an inline value, a variable that is not set, a file that cannot be read.
    """
    try:
        return _secret_behind(reference)
    except _SecretError as error:
        raise ConfigError(source, str(error), field=field) from error


def _secret_behind(reference: object) -> Secret:
    match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
    if match is None:
        raise _SecretError("a secret is given as ${env:NAME} or ${file:/path}")
    kind, name = match.groups()
    if kind == "env":
        if not (value := os.environ.get(name)):
            raise _SecretError(f"environment variable {name} is not set")
        return Secret(value)
    try:
        return FileSecret(Path(name))
    except (OSError, UnicodeDecodeError) as error:
        raise _SecretError(f"secret file cannot be read: {error}") from error


def seconds(text: str) -> Seconds | None:
    """The duration that a text such as ``10m``, ``1.5s`` or ``500ms`` is; None if it is none.

    >>> seconds("1.5s"), seconds("soon")
    (1.5, None)
    """
    match = _DURATION.fullmatch(text.strip())
    return Seconds(float(match["number"]) * _SECONDS[match["unit"]]) if match else None


def json_schema(as_type: type[Any]) -> dict[str, Any]:
    """JSON Schema of a configuration type, for editors."""
    # msgspec has a hook for types of our own, but none for their default values: lend it one.
    encode = partial(msgspec.to_builtins, enc_hook=_plain_default)
    vars(_json_schema)["to_builtins"] = encode
    try:
        return msgspec.json.schema(as_type, schema_hook=_schema_of)
    finally:
        vars(_json_schema)["to_builtins"] = msgspec.to_builtins


def _decode_value(as_type: type[Any], value: object) -> object:
    if as_type is Seconds:
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
            return Seconds(value)
        if isinstance(value, str) and (duration := seconds(value)) is not None:
            return duration
        raise ValueError("expected a duration such as 10m, 1.5s or 500ms")
    if as_type is Path and isinstance(value, str):
        return Path(value)
    if as_type is Secret:
        return _secret_behind(value)
    raise NotImplementedError(f"no decoder for {as_type}")


def _plain_default(value: object) -> object:
    if isinstance(value, Seconds):
        return float(value)
    return str(value)


def _schema_of(as_type: type[Any]) -> dict[str, Any]:
    if as_type is Seconds:
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}
    if as_type is Path:
        return {"type": "string"}
    if as_type is Secret:
        return {"type": "string", "pattern": f"^{_REFERENCE.pattern}$"}
    raise NotImplementedError(f"no schema for {as_type}")


def _split_path(message: str) -> tuple[str, list[str | int]]:
    match = _PATH_IN_MESSAGE.search(message)
    path = match["path"] if match else ""
    steps = [
        int(m.group(2)) if m.group(2) is not None else m.group(1)
        for m in _PATH_STEP.finditer(path)
        if m.group(1) is not None or m.group(2) is not None
    ]
    expected = message[: match.start()] if match else message
    if unknown := re.search(r"unknown field `(?P<name>[^`]+)`", expected):
        steps.append(unknown["name"])
    return expected, steps


def _unfold(expected: str) -> str:
    return expected[:1].lower() + expected[1:].replace("`", "")


def _dotted(steps: list[str | int]) -> str:
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
    return text.removeprefix(".")


def _walk(root: yaml.Node | None, value: Any, steps: list[str | int]) -> tuple[Any, object]:  # noqa: ANN401 - any YAML value
    node = root
    for step in steps:
        below = dict(_children(node)).get(step) if node is not None else None
        if below is None:
            return node, None
        node = below
        value = value[step]
    return node, value


def _children(node: yaml.Node | None) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from ((key.value, child) for key, child in node.value)
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
