"""Forms by what is asked of them: the same, more general, or different in one word only."""

from __future__ import annotations

from collections.abc import KeysView, Sequence

from streams.templates.masks import WILDCARD
from streams.templates.words import Form


class FormIndex:
    """Forms with a number each.

    >>> index = FormIndex()
    >>> index.add(("user", "<*>", "left"), 7, is_open=True)
    >>> index.find(("user", "ann", "left"))
    7
    """

    def __init__(self) -> None:
        self._forms: dict[int, Form] = {}
        self._exact: dict[Form, int] = {}
        self._open: dict[tuple[int, str], dict[int, None]] = {}
        self._alike: dict[tuple[int, str], dict[int, None]] = {}
        self._siblings: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._forms)

    def numbers(self) -> KeysView[int]:
        """All numbers."""
        return self._forms.keys()

    def form(self, number: int) -> Form:
        """The form of a number."""
        return self._forms[number]

    def add(self, form: Form, number: int, *, is_open: bool) -> None:
        """A form; if open, its wildcards take any word."""
        self._forms[number] = form
        self._exact[form] = number
        self._alike.setdefault(_kind(form), {})[number] = None
        if is_open:
            self._open.setdefault(_kind(form), {})[number] = None
        for place in range(len(form)):
            self._siblings.setdefault(_key(form, place), []).append(number)

    def remove(self, number: int) -> None:
        """Forget a number and its form."""
        form = self._forms.pop(number)
        self._exact.pop(form, None)
        for table in (self._open, self._alike):
            if numbers := table.get(_kind(form)):
                numbers.pop(number, None)
                if not numbers:
                    del table[_kind(form)]
        for place in range(len(form)):
            key = _key(form, place)
            self._siblings[key].remove(number)
            if not self._siblings[key]:
                del self._siblings[key]

    def find(self, form: Form) -> int | None:
        """The number of this very form, else of an open one that takes it."""
        number = self._exact.get(form)
        if number is not None:
            return number
        for candidate in self._open.get(_kind(form), ()):
            if _covers(self._forms[candidate], form):
                return candidate
        return None

    def siblings(self, form: Form, place: int) -> Sequence[int]:
        """Numbers of the forms that are the same at all other places, this one among them."""
        return self._siblings.get(_key(form, place), ())

    def covered(self, general: Form) -> list[int]:
        """Numbers of the forms that a general one takes."""
        alike = self._alike.get(_kind(general), ())
        return [number for number in alike if _covers(general, self._forms[number])]


def _kind(form: Form) -> tuple[int, str]:
    return len(form), form[0]


def _key(form: Form, place: int) -> int:
    return hash((place, form[:place], form[place + 1 :]))


def _covers(general: Form, form: Form) -> bool:
    return all(g in (word, WILDCARD) for g, word in zip(general, form, strict=True))
