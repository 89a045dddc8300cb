"""What a connector is, and the few helpers that connectors share. There is no base class."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import BaseModel

from tollbridge import connectors
from tollbridge.domain.billing import Bill
from tollbridge.domain.changes import ASK, Correction, Earlier
from tollbridge.domain.choices import Asked
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Flow, Reply, Request
from tollbridge.domain.integrations import Mappings, Options
from tollbridge.domain.known_errors import KnownError
from tollbridge.domain.oauth import OAuth, Token

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What the vendor allows one credential, and what it guarantees.

    `key_lifetime` is how long the receiver itself honours an idempotency key (None: it does not); `longest_request` is
    how long after a send an effect may still appear.
    """

    requests_per_second: float
    concurrency: int
    key_lifetime: timedelta | None
    longest_request: timedelta


@dataclass(frozen=True, slots=True)
class System:
    """One environment of a vendor, such as live or test. `key` is the wire's DestinationType.

    `mapping_system` is the name under which external mappings of this system are kept; twins share it.
    """

    key: str
    title: str
    base_url: str
    live: bool
    mapping_system: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Sending:
    """What is known at the moment of a send: the idempotency key (None for reads), the clock, and the token where the
    connector is let in by OAuth."""

    idempotency_key: str | None
    at: datetime
    token: Token | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Everything that a `deliver` flow may look at. `at` is when the run first started: the flow's only clock.

    `earlier` is set where something of an earlier version may stand in the other system, `withdraw` where the bill was
    deleted and nothing of it shall stand there any more; both only for connectors that say `corrects`. `correction` is
    what was chosen for final documents; the flow returns `NeedsChoice` where nothing was, before it writes anything.
    """

    bill: Bill
    config: Any
    mappings: Mappings
    system: System
    at: datetime
    earlier: Earlier | None = None
    withdraw: bool = False
    correction: Correction = ASK


@dataclass(frozen=True, slots=True)
class Connector:
    """One vendor.

    `deliver` is given a `Delivery` where entities are bills, and a `domain.notifications.Notification` where they are
    notifications. `credential_type` is the wire's CredentialType, `credential` the pydantic model of its fields, in
    which every secret field has the type SecretStr; `read_credential` validates what a person typed for one of the
    systems. `authorize` returns the request with credentials, version and idempotency key put in.
    `classify` turns a reply that the flow did not ask for into a fault; None means that the reply is good.
    `replayed` says whether a reply is an earlier one that the vendor kept under the idempotency key.
    `redact` names the request and reply fields (form names or JSON keys) that the run log must not show.
    """

    key: str
    title: str
    category: str
    systems: tuple[System, ...]
    entity_types: tuple[str, ...]
    credential_type: str
    credential: type[BaseModel]
    config: type[Options]
    mapping_tables: Mapping[str, tuple[str, ...]]
    """Our entities and the vendor's tables to which they may be mapped."""
    authorize: Callable[[Request, Any, Sending], Request]
    classify: Callable[[Reply], Fault | None]
    replayed: Callable[[Reply], bool]
    deliver: Callable[[Any], Flow]
    check: Callable[[System], Flow]
    redact: frozenset[str] = field(default=frozenset())
    choices: Mapping[str, Callable[[Asked], Flow]] = field(default_factory=dict)
    """How to ask for things there from which a person chooses, by the vendor's name of their kind: a table of
    `mapping_tables`, or what an option names in its schema as `choices`. Each flow reads and returns `Found`."""
    corrects: bool = False
    """Whether `deliver` knows what to do about documents of an earlier version, and of a deleted bill."""
    errors: tuple[KnownError, ...] = ()
    """Every error that `deliver`, `check` and `classify` make, each code once. A vendor's code that nobody knows makes
    an error by that code, which is explained as `<key>.unknown`."""
    oauth: OAuth | None = None
    """How people connect a credential, where it is by OAuth; `authorize` then finds the token in its `Sending`."""
    docs: str = ""
    """The text of docs.md."""

    def system(self, key: str) -> System:
        return next(system for system in self.systems if system.key == key)


@cache
def all_connectors() -> Mapping[str, Connector]:
    """Every connector by its key: folders beside this file, then the entry point group `tollbridge.connectors`."""
    found = [
        importlib.import_module(f"{connectors.__name__}.{module.name}").connector
        for module in pkgutil.iter_modules(connectors.__path__)
        if module.ispkg
    ]
    found += [point.load() for point in entry_points(group="tollbridge.connectors")]
    return {connector.key: connector for connector in found}


@lru_cache(maxsize=256)
def connector_of(system_key: str) -> Connector | None:
    """The connector that serves the system, by the wire's DestinationType, without case; None where there is none."""
    wanted = system_key.upper().replace("-", "_")
    for connector in all_connectors().values():
        if any(system.key == wanted for system in connector.systems):
            return connector
    return None


def read_credential(connector: Connector, system: System, fields: Mapping[str, Any]) -> BaseModel:
    """The credential that a person gave for the system; raises pydantic's ValidationError, also where it opens another
    system (a live key for test mode)."""
    return connector.credential.model_validate(fields, context={"system": system})


def form_pairs(value: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """A nested value as pairs in bracket notation: `lines[0][amount]`. None and empty maps and lists are left out,
    booleans are `true` and `false`. Raises TypeError for what has no exact text, floats above all."""
    pairs: list[tuple[str, str]] = []
    for name, inner in value.items():
        _flatten(name, inner, pairs)
    return tuple(pairs)


def _flatten(name: str, value: Any, pairs: list[tuple[str, str]]) -> None:
    # The common cases first: a bill of many lines comes through here with every value.
    match value:
        case str():
            pairs.append((name, str(value)))
        case None:
            return
        case bool():
            pairs.append((name, "true" if value else "false"))
        case int():
            pairs.append((name, str(value)))
        case dict() | Mapping():
            for key, inner in value.items():
                _flatten(f"{name}[{key}]", inner, pairs)
        case list() | tuple():
            for index, inner in enumerate(value):
                _flatten(f"{name}[{index}]", inner, pairs)
        case _:
            raise TypeError(f"{name} is a {type(value).__name__}, which has no exact text in a form")


def chunked(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


class Cut(str):
    """A text that was shortened; a preview tells it by this type."""

    __slots__ = ("whole",)
    whole: int
    """Characters of the whole text."""


def cut(text: str, limit: int) -> str:
    """The text, shortened to the vendor's limit with an ellipsis where it is longer."""
    if len(text) <= limit:
        return text
    short = Cut(text[: limit - 1] + "…")
    short.whole = len(text)
    return short
