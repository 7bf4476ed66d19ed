"""What a variant's name means as a value of each type.

Coalmine knows names of variants only. A boolean is ``on`` or ``off``, a string is the name itself,
a number its reading; for anything else the service brings a table of values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from openfeature.exception import TypeMismatchError
from openfeature.flag_evaluation import FlagValueType

T = TypeVar("T")
Variants = Mapping[str, Mapping[str, FlagValueType]]
"""Flag to variant to value."""
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]

_BOOLEANS = {"on": True, "true": True, "off": False, "false": False}


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """How values of one type are made of names, and told from values of others."""

    name: str
    read: Callable[[str], T]
    types: tuple[type, ...]


def _structure(name: str) -> Structure:
    value = json.loads(name)
    if not isinstance(value, list | dict):
        raise TypeError(name)
    return value


BOOLEAN = Reading("boolean", lambda name: _BOOLEANS[name.lower()], (bool,))
STRING = Reading("string", str, (str,))
INTEGER = Reading("integer", int, (int,))
FLOAT = Reading("number", float, (int, float))
STRUCTURE: Reading[Structure] = Reading("object", _structure, (list, tuple, dict))


def value_of(table: Mapping[str, FlagValueType], variant: str, reading: Reading[T]) -> T:
    """The value of a variant, out of the service's table or else read from its name.

    Args:
        table: variant to value.
        variant: whose value.
        reading: of the type that is asked for.

    Raises:
        TypeMismatchError: it has no value of this type.

    >>> value_of({}, "on", BOOLEAN), value_of({}, "1.5", FLOAT), value_of({"b": 3}, "b", INTEGER)
    (True, 1.5, 3)
    """
    try:
        if variant not in table:
            return reading.read(variant)
    except (KeyError, ValueError, TypeError) as error:
        raise TypeMismatchError(f"variant {variant!r} is no {reading.name}") from error
    value = table[variant]
    is_boolean = isinstance(value, bool)
    if not isinstance(value, reading.types) or (is_boolean and bool not in reading.types):
        raise TypeMismatchError(f"variant {variant!r}: {value!r} is no {reading.name}")
    return value  # type: ignore[return-value]  # checked above
