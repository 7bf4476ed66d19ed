"""Secrets out of what the agent sends, before it reaches the spool.

It works on the columns of a batch, after parsing: escapes are resolved there, a column with few
values is looked at once per value, and one pre-check of all rules covers the whole batch. Lines
without a hint cost that pre-check only.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypedDict

import pyarrow as pa
import pyarrow.compute as pc

from ingest.redaction_rules import BUILT_IN, QUERY, SECRETIVE, Rule, mark, own_rules
from ingest.settings import RedactionSettings

IDENTITIES = frozenset({"service", "release", "host", "arm", "user", "session", "trace"})
"""Columns whose values tell things apart: a secret there becomes a pseudonym."""

_AFTER_PATH = r"(?s)[?#].*"

Change = Callable[[pa.Array], pa.Array]


class Quoted(TypedDict):
    """What a dead letter quotes of its line."""

    detail: str
    line: bytes


class Redactor:
    """The rules of one agent.

    Args:
        rules: in the order in which they are applied.
        key: of the pseudonyms; agents with the same key give the same person the same one.
        cuts_queries: whether routes lose what follows their path.
    """

    def __init__(self, rules: Sequence[Rule], key: bytes, *, cuts_queries: bool = True) -> None:
        self._rules = rules
        self._key = key[:64]
        self._cuts_queries = cuts_queries
        self._hint = "|".join(f"(?:{rule.hint})" for rule in rules)
        self._hides_passwords = self.has("password")

    def batch(self, batch: pa.RecordBatch, found: Counter[str]) -> pa.RecordBatch:
        """``batch`` with every secret replaced; how many of each rule is added to ``found``."""
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        if self._cuts_queries and "route" in columns:
            columns["route"] = _rebuilt(columns["route"], lambda t: _without_query(t, found))
        texts = {name: _texts(column) for name, column in columns.items()}
        if self._is_suspect([text for found_in in texts.values() for text in found_in]):
            for name, found_in in texts.items():
                if self._is_suspect(found_in):
                    columns[name] = self._column(name, columns[name], found)
        return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)

    def has(self, rule: str) -> bool:
        """Whether this rule is applied."""
        return any(r.name == rule for r in self._rules)

    def rejected(self, detail: str, line: bytes, found: Counter[str]) -> Quoted:
        """What may be told of a line that is no record.

        Where the line holds a secret, the detail may quote one half of it: it is left out then.
        """
        held: Counter[str] = Counter()
        clean = self.line(line, held)
        found += held
        return Quoted(detail=mark("detail") if held else self.text(detail, found), line=clean)

    def text(self, text: str, found: Counter[str]) -> str:
        """One text without its secrets."""
        replaced: str = self._replaced(pa.array([text], pa.utf8()), found)[0].as_py()
        return replaced

    def line(self, line: bytes, found: Counter[str]) -> bytes:
        """The bytes of a line, whatever they are, without its secrets."""
        # latin-1 maps every byte to one letter and back
        return self.text(line.decode("latin-1"), found).encode("latin-1")

    def _is_suspect(self, texts: Sequence[pa.Array]) -> bool:
        if not self._rules or not texts:
            return False
        # one long text: a call for each short one would cost more than reading them
        together = pa.concat_arrays(texts).drop_null()
        all_of_them = pa.ListArray.from_arrays(pa.array([0, len(together)], pa.int32()), together)
        joined = pc.binary_join(all_of_them, "\n")
        return bool(pc.match_substring_regex(joined, self._hint)[0].as_py())

    def _column(self, name: str, column: pa.Array, found: Counter[str]) -> pa.Array:
        if pa.types.is_map(column.type):
            return self._attributes(column, found)
        if name in IDENTITIES:
            return _rebuilt(column, lambda texts: self._pseudonyms(texts, found))
        return _rebuilt(column, lambda texts: self._replaced(texts, found))

    def _attributes(self, column: pa.Array, found: Counter[str]) -> pa.Array:
        items = self._replaced(column.items, found)
        if self._hides_passwords:
            is_secret = pc.match_substring_regex(column.keys, rf"(?i){SECRETIVE}\z")
            found["password"] += pc.sum(is_secret).as_py() or 0
            items = pc.if_else(is_secret, mark("password"), items)
        return pa.MapArray.from_arrays(column.offsets, self._replaced(column.keys, found), items)

    def _replaced(self, texts: pa.Array, found: Counter[str]) -> pa.Array:
        return self._where_suspect(texts, lambda rows: self._apply(rows, found))

    def _apply(self, rows: pa.Array, found: Counter[str]) -> pa.Array:
        for rule in self._rules:
            # a hint costs a tenth of its pattern
            if pc.any(pc.match_substring_regex(rows, rule.hint)).as_py():
                rows = rule.apply(rows, found)
        return rows

    def _pseudonyms(self, texts: pa.Array, found: Counter[str]) -> pa.Array:
        def change(rows: pa.Array) -> pa.Array:
            is_held = pc.not_equal(self._apply(rows, Counter()), rows)
            pseudonyms = [self._pseudonym(t, found) for t in rows.filter(is_held).to_pylist()]
            return pc.replace_with_mask(rows, is_held, pa.array(pseudonyms, rows.type))

        return self._where_suspect(texts, change)

    def _pseudonym(self, identity: str, found: Counter[str]) -> str:
        held: Counter[str] = Counter()
        self._apply(pa.array([identity]), held)
        if not held:
            return identity
        name = next(iter(held))
        found[name] += 1
        digest = hashlib.blake2b(identity.encode(), key=self._key, digest_size=8)
        return mark(f"{name}:{digest.hexdigest()}")

    def _where_suspect(self, texts: pa.Array, change: Change) -> pa.Array:
        if not self._rules:
            return texts
        suspect = pc.match_substring_regex(texts, self._hint).fill_null(False)
        if not pc.any(suspect).as_py():
            return texts
        return pc.replace_with_mask(texts, suspect, change(texts.filter(suspect)))


def redactor_of(settings: RedactionSettings, key: bytes) -> Redactor:
    """The redactor that an agent's file asks for: its own rules, then the built-in ones."""
    built_in = [rule for rule in BUILT_IN if rule.name not in settings.without]
    rules = [*own_rules(settings.rules), *built_in]
    return Redactor(rules, key, cuts_queries=QUERY not in settings.without)


def _without_query(routes: pa.Array, found: Counter[str]) -> pa.Array:
    cut = pc.sum(pc.match_substring_regex(routes, _AFTER_PATH)).as_py()
    if not cut:
        return routes
    found[QUERY] += cut
    return pc.replace_substring_regex(routes, _AFTER_PATH, "")


def _texts(column: pa.Array) -> list[pa.Array]:
    """All texts below a column, attributes as ``name=value``."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return [column.dictionary]
    if pa.types.is_string(kind):
        return [column]
    if pa.types.is_map(kind):
        return [pc.binary_join_element_wise(column.keys, column.items, "=")]
    if pa.types.is_list(kind):
        return _texts(column.values)
    if pa.types.is_struct(kind):
        return [text for i in range(kind.num_fields) for text in _texts(column.field(i))]
    return []


def _rebuilt(column: pa.Array, change: Change) -> pa.Array:
    """The column with ``change`` done to all texts below it."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = change(column.dictionary)
        if values is column.dictionary:
            return column
        # two values may have become one: encode anew, so that a code still means one value
        plain = pa.DictionaryArray.from_arrays(column.indices, values).cast(pa.utf8())
        return plain.dictionary_encode()
    if pa.types.is_string(kind):
        return change(column)
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(column.offsets, _rebuilt(column.values, change))
    if pa.types.is_struct(kind):
        children = [_rebuilt(column.field(i), change) for i in range(kind.num_fields)]
        return pa.StructArray.from_arrays(children, fields=list(kind))
    return column
