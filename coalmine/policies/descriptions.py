"""What the fields of a configuration mean, out of the source of their types.

A type's docstring tells what it is, the string below a field what that is. Python drops the latter,
so the source is read; editors and ``docs/policies.md`` tell the same words.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, get_args

import msgspec

_CODE = re.compile(r"``([^`]+)``")


def described(schema: dict[str, Any], as_type: type[Any]) -> dict[str, Any]:
    """A JSON Schema with what each type and field means, where it says so.

    Args:
        schema: of ``as_type``; changed in place and returned.
        as_type: a configuration type, with all types below it.
    """
    for each in structs_of(as_type):
        definition = schema.get("$defs", {}).get(each.__name__)
        if definition is None:
            continue
        definition["description"] = plain(inspect.getdoc(each) or "")
        for name, text in field_docs(each).items():
            if name in definition["properties"]:
                of_field = definition["properties"][name]
                if "$ref" in of_field:  # beside a reference a description would be ignored
                    of_field = definition["properties"][name] = {"allOf": [of_field]}
                of_field["description"] = text
    return schema


def structs_of(as_type: type[Any]) -> list[type[msgspec.Struct]]:
    """A configuration type and all types that its fields have, each once, outermost first."""
    found: list[type[msgspec.Struct]] = []
    waiting: list[Any] = [as_type]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            if each not in found:
                found.append(each)
                waiting += [field.type for field in msgspec.structs.fields(each)]
        else:
            waiting += get_args(each)
    return found


def field_docs(as_type: type[msgspec.Struct]) -> dict[str, str]:
    """Field, as users write it, to what the string below it says."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(as_type)}
    source = _classes(as_type.__module__)[as_type.__name__]
    return {names[name]: text for name, text in _documented(source) if name in names}


@lru_cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The source of a module's classes: ``inspect`` would parse all of it for each of them."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def plain(text: str) -> str:
    """A docstring as one paragraph without markup."""
    return _CODE.sub(r"\1", " ".join(text.split()))


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            yield field.target.id, plain(below.value.value)
