"""What a reader types, and what a template says, as conditions on log lines. Pure."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from dashboard.queries.elastic import Query

_WILDCARD = re.compile(r"<(?:\*|[a-z][\w-]*)>")
_GLUED = re.compile(r"\S*<(?:\*|[a-z][\w-]*)>\S*")
_QUOTED = re.compile(r'"([^"]+)"')


def text_conditions(text: str) -> list[Query]:
    """All words, in any order; what stands in quotes as it stands.

    >>> text_conditions('timeout "cart 7"')
    [{'match_phrase': {'message': 'cart 7'}}, {'match': {'message': {'query': 'timeout', \
'operator': 'and'}}}]
    """
    conditions: list[Query] = [
        {"match_phrase": {"message": phrase}} for phrase in _QUOTED.findall(text)
    ]
    if words := _QUOTED.sub(" ", text).strip():
        conditions.append({"match": {"message": {"query": words, "operator": "and"}}})
    return conditions


def fixed_words(template: str) -> str:
    """The words of a template that every line of it has; not those that a wildcard touches.

    >>> fixed_words("user <*> paid <number> EUR, id=<*>")
    'user paid EUR,'
    """
    return " ".join(_GLUED.sub(" ", template).split())


def template_pattern(template: str) -> str:
    r"""A pattern in the language of RE2 that the lines of a template match from their beginning.

    >>> template_pattern("user <*> paid (<number>)")
    '(?s)^\\s*user\\s+.*?\\s+paid\\s+\\(.*?\\)\\s*$'
    """
    words = [
        ".*?".join(re.escape(part) for part in _WILDCARD.split(word)) for word in template.split()
    ]
    return r"(?s)^\s*" + r"\s+".join(words) + r"\s*$"


def of_template(messages: list[str], template: str) -> list[bool]:
    """Which messages a template made; RE2 takes linear time, whatever stands in the template.

    >>> of_template(["user ann paid 7", "user ann paid"], "user <*> paid <*>")
    [True, False]
    """
    found: list[bool] = pc.match_substring_regex(
        pa.array(messages, pa.utf8()), template_pattern(template)
    ).to_pylist()
    return found
