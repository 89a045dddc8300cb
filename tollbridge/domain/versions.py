"""What a configuration was before: its present fields, and back through what the audit log says of changes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain.audit import NOTHING, Action, Fields, difference

OPTIONS = "configData"
FIELDS = ("name", "integrationCredentialsId", OPTIONS)
"""The fields that a person configures; the others follow from them, or stay as they are."""


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the audit log: what one change replaced, and by what."""

    id: str
    at: datetime
    by: str
    action: str
    before: Fields
    after: Fields


@dataclass(frozen=True, slots=True)
class Version:
    """What a configuration was from `at` on, when `by` made it so. `id` is that of the change; `before` and `after` are
    what differs from the version before, an option each."""

    id: str
    at: datetime
    by: str
    values: Fields
    before: Fields
    after: Fields
    created: bool
    """Whether it is the first."""


def versions(present: Fields, changes: Iterable[Change]) -> Iterator[Version]:
    """The versions that are known, the present one first; `changes` come newest first. Secrets are hidden."""
    values = {name: value for name, value in difference(NOTHING, present)[1].items() if name in FIELDS}
    for change in changes:
        if change.action not in (Action.CREATE, Action.UPDATE):
            continue
        created = change.action == Action.CREATE
        earlier = {} if created else _undone(values, change)
        before, after = compare(earlier, values)
        # A secret that changed is hidden in both.
        if before or after or any(name in FIELDS for name in {**change.before, **change.after}):
            yield Version(change.id, change.at, change.by, values, before, after, created)
        values = earlier


def compare(earlier: Fields, later: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs between two versions, an option each."""
    return difference(_flat(earlier), _flat(later))


def _undone(values: Fields, change: Change) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name not in change.after}
    return kept | {name: value for name, value in change.before.items() if name in FIELDS}


def _flat(values: Fields) -> Mapping[str, Any]:
    """The options beside the other fields; no option has the name of one of these."""
    options = values.get(OPTIONS)
    rest = {name: value for name, value in values.items() if name != OPTIONS}
    return {**rest, **(options if isinstance(options, Mapping) else {})}
