"""Things in another system from which a person chooses: what is asked for, what there is, and which of them have what
only one of ours has too. Pure; nothing is chosen here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

EMAIL, NAME = "email", "name"
TRUSTED: Mapping[str, str] = {EMAIL: "same e-mail address", NAME: "same name"}
"""The marks by which a thing of theirs may be one of ours, the most certain first, each in words."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something in the other system: its id, how people call it, and the marks by which it is compared with ours."""

    id: str
    label: str
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is looked for among the things of a kind, as the vendor calls it (`Customer`): those with these words, at
    most `limit`, the latest where there are no words; or all that have one of these marks, capitals or not."""

    of: str
    words: str = ""
    marks: tuple[tuple[str, str], ...] = ()
    limit: int = 50

    @property
    def written(self) -> dict[str, Any]:
        """As it is kept with its run."""
        return {"of": self.of, "words": self.words, "marks": [list(mark) for mark in self.marks], "limit": self.limit}

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> Asked:
        marks = tuple((str(name), str(value)) for name, value in written["marks"])
        return cls(str(written["of"]), str(written["words"]), marks, int(written["limit"]))


@dataclass(frozen=True, slots=True)
class Ours:
    """Something of ours that is mapped to nothing there."""

    entity: str
    id: str
    name: str
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """That this of ours is that thing of theirs, and why: a sentence's end such as “same name Acme Ltd”."""

    ours: Ours
    thing: Thing
    evidence: str


def marks_of(ours: Iterable[Ours]) -> tuple[tuple[str, str], ...]:
    """Every mark of these, once."""
    return tuple(dict.fromkeys((name, each.marks[name]) for each in ours for name in TRUSTED if each.marks.get(name)))


def suggest(ours: Sequence[Ours], things: Sequence[Thing], taken: Iterable[str] = ()) -> list[Suggestion]:
    """What may be accepted: by the most certain mark that anything there has, and only where it leaves one thing for
    one of ours. Of several things with the mark, the next mark may tell which. What is `taken` is left out."""
    gone = frozenset(taken)
    free = {each.id: each for each in things if each.id not in gone}
    having: dict[tuple[str, str], list[Thing]] = defaultdict(list)
    for thing in free.values():
        for name, value in thing.marks.items():
            having[name, _plain(value)].append(thing)
    found = [each for each in (_match(one, having) for one in ours) if each is not None]
    claims: dict[str, int] = defaultdict(int)
    for each in found:
        claims[each.thing.id] += 1
    return [each for each in found if claims[each.thing.id] == 1]


def _match(one: Ours, having: Mapping[tuple[str, str], Sequence[Thing]]) -> Suggestion | None:
    among: Sequence[Thing] = ()
    why: list[str] = []
    for name, words in TRUSTED.items():
        value = one.marks.get(name, "")
        fits = having.get((name, _plain(value)), ()) if value else ()
        if among:
            fits = [each for each in among if each in fits]
        if not fits:
            continue
        among, why = fits, [*why, f"{words} {value}"]
        if len(fits) == 1:
            return Suggestion(one, fits[0], ", ".join(why))
    return None


def _plain(value: str) -> str:
    return " ".join(value.split()).casefold()
