"""Templates of log messages, mined online: one pass, bounded memory, ids that stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.templates.index import FormIndex
from streams.templates.masks import WILDCARD, masked
from streams.templates.words import Form, can_vary, form_of, is_variable

_TEXTS_REMEMBERED: Final = 50_000
_OVERFLOW: Final = (WILDCARD,)
"""The form that takes new lines when one batch holds more templates than may be known."""


class Template(msgspec.Struct):
    """What lines have in common.

    ``id`` stays as long as the template is known, while ``text`` may grow more general.
    """

    id: str
    text: str
    count: int = 0


class Known(msgspec.Struct, array_like=True):
    """A template with what the miner needs beside it."""

    template: Template
    last_batch: int
    is_open: bool = False
    """Its wildcards take words too, not only what the masks know as values."""


class MinerState(msgspec.Struct, array_like=True):
    """All that a miner must remember."""

    known: list[Known] = []
    batch: int = 0
    forgotten: int = 0


class Miner:
    """Groups messages into templates.

    A line is masked, cut into words, and known by them. Templates that differ in one word only
    become one when that place has held so many different words that it must be a variable.

    Args:
        limit: Templates remembered.
        is_forgetful: Beyond the limit the least recently seen ones are forgotten; if not, every
            number stays valid and further new lines share the template ``<*>``.

    >>> miner = Miner()
    >>> miner.mine(["took 5 ms", "ready", "took 12 ms"])
    [0, 1, 0]
    >>> [(t.text, t.count) for t in miner.templates]
    [('took <*>', 2), ('ready', 1)]
    """

    def __init__(self, limit: int = 2_000, *, is_forgetful: bool = True) -> None:
        self._limit = limit
        self._is_forgetful = is_forgetful
        self._slots: list[Known] = []
        self._free: list[int] = []
        self._joined: dict[int, int] = {}
        self._index = FormIndex()
        self._numbers: dict[str, int] = {}
        self._ids: set[str] = set()
        self._batch = 0
        self.forgotten = 0

    @property
    def templates(self) -> list[Template]:
        """Template of each number; numbers that became one share theirs."""
        return [self._slots[self._root(n)].template for n in range(len(self._slots))]

    def mine(self, messages: Sequence[str]) -> list[int]:
        """Number of each message's template, valid until :attr:`forgotten` grows."""
        numbers: list[int] = self.mine_column(pa.array(messages, pa.string())).tolist()
        return numbers

    def mine_column(self, messages: pa.StringArray) -> npt.NDArray[np.int64]:
        """The same for a column without nulls: numbers of shape (n,)."""
        self._begin_batch()
        lines = messages.dictionary_encode()
        texts = masked(lines.dictionary).dictionary_encode()
        found = [self._number(text) for text in texts.dictionary.to_pylist()]
        of_text = np.array([self._root(number) for number in found], np.int64)
        numbers: npt.NDArray[np.int64] = of_text[texts.indices.to_numpy()[lines.indices.to_numpy()]]
        for number, count in zip(*np.unique(numbers, return_counts=True), strict=True):
            self._slots[number].template.count += int(count)
        return numbers

    def absorb(self, template_text: str, count: int = 0) -> int:
        """Number of the template that another miner's template is, or becomes, here.

        Its wildcards are taken as open: another miner may have seen words there.
        """
        form = tuple(template_text.split(" "))
        number = self._number_of_form(form)
        if WILDCARD in form[1:] and len(form) > 1:
            number = self._join(form, [number])
        known = self._slots[number]
        known.template.count += count
        known.last_batch = self._batch
        return number

    def absorb_all(self, template_texts: Sequence[str]) -> list[str]:
        """Id of what each template of another miner is, or becomes, here."""
        self._begin_batch()
        numbers = [self.absorb(text) for text in template_texts]
        return [self._slots[self._root(number)].template.id for number in numbers]

    def to_templates(self) -> list[Template]:
        """All templates that are known, each once."""
        return [self._slots[number].template for number in sorted(self._index.numbers())]

    def to_state(self) -> MinerState:
        """What :meth:`from_state` needs to go on."""
        live = [self._slots[number] for number in sorted(self._index.numbers())]
        return MinerState(live, self._batch, self.forgotten)

    @classmethod
    def from_state(cls, state: MinerState, limit: int = 2_000) -> Miner:
        """The miner that had this state; its numbers may differ, its ids do not."""
        miner = cls(limit)
        miner._batch, miner.forgotten = state.batch, state.forgotten
        for known in state.known:
            miner._insert(tuple(known.template.text.split(" ")), known)
        return miner

    def _root(self, number: int) -> int:
        while number in self._joined:
            number = self._joined[number]
        return number

    def _begin_batch(self) -> None:
        self._batch += 1
        if len(self._numbers) > _TEXTS_REMEMBERED:
            self._numbers.clear()
        if self._is_forgetful and len(self._index) > self._limit:
            self._forget(len(self._index) - self._limit * 9 // 10)

    def _forget(self, how_many: int) -> None:
        """Forget the templates that were not seen for longest, the rarer first."""

        def age(number: int) -> tuple[int, int]:
            known = self._slots[number]
            return known.last_batch, known.template.count

        for number in sorted(self._index.numbers(), key=age)[:how_many]:
            self._index.remove(number)
            self._ids.discard(self._slots[number].template.id)
            self._free.append(number)
        self.forgotten += how_many
        self._free.extend(self._joined)
        self._joined.clear()
        self._numbers.clear()

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = self._number_of_form(form_of(text))
        number = self._root(number)
        self._slots[number].last_batch = self._batch
        return number

    def _number_of_form(self, form: Form) -> int:
        number = self._index.find(form)
        if number is not None:
            return number
        if len(self._index) >= (1 + self._is_forgetful) * self._limit:
            return self._number_of_form(_OVERFLOW) if form != _OVERFLOW else self._add(form)
        return self._merged(self._add(form))

    def _add(self, form: Form) -> int:
        text = " ".join(form)
        return self._insert(form, Known(Template(self._new_id(text), text), self._batch))

    def _insert(self, form: Form, known: Known) -> int:
        self._ids.add(known.template.id)
        if self._free:
            number = self._free.pop()
            self._slots[number] = known
        else:
            number = len(self._slots)
            self._slots.append(known)
        self._index.add(form, number, is_open=known.is_open)
        return number

    def _new_id(self, text: str) -> str:
        salt = 0
        while True:
            seed = f"{text}\0{salt}" if salt else text
            digest = blake2b(seed.encode(errors="replace"), digest_size=6).hexdigest()
            if digest not in self._ids:
                return digest
            salt += 1

    def _merged(self, number: int) -> int:
        """The template after every place of it that proves to be a variable was made wild."""
        form = self._index.form(number)
        for place in range(len(form)):
            siblings = self._index.siblings(form, place)
            if len(siblings) == 1 or not can_vary(place, len(form)):
                continue
            words = {self._index.form(sibling)[place] for sibling in siblings}
            around = (form[place - 1] if place else "", "".join(form[place + 1 : place + 2]))
            if is_variable(words, *around):
                general = (*form[:place], WILDCARD, *form[place + 1 :])
                return self._merged(self._join(general, siblings))
        return number

    def _join(self, general: Form, numbers: Iterable[int]) -> int:
        """One template, the oldest, for all of these and whatever the general form covers."""
        together = sorted({*numbers, *self._index.covered(general)})
        kept = self._slots[together[0]]
        for number in together:
            self._index.remove(number)
        for number in together[1:]:
            kept.template.count += self._slots[number].template.count
            self._joined[number] = together[0]
        kept.template.text = " ".join(general)
        kept.is_open = True
        self._index.add(general, together[0], is_open=True)
        return together[0]
