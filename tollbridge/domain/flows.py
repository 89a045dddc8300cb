"""The words in which a connector talks to the engine: steps, replies, outcomes.

A connector is a generator of requests. It yields a `Step`, is sent the `Reply`, and returns an `Outcome`. It opens no
socket and reads no clock; the engine performs the requests, records the conversation, and on a resume sends the
recorded replies again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeAlias

from tollbridge.domain import json_text
from tollbridge.domain.changes import Offer
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Fault

Params: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request as a value, without credentials: `outbound` adds those when it is sent.

    `path` is relative to the base address of the system; where the system has none, as outgoing webhooks, it is the
    whole URL. `query` and `form` are pairs that the connector's own encoder
    has flattened; `json` is any JSON value. At most one of `form`, `json` and `body` is set.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    form: tuple[tuple[str, str], ...] | None = None
    json: Any = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def writes(self) -> bool:
        """Whether the request may change something at the other side (RFC 9110 §9.2.1: GET and HEAD are safe)."""
        return self.method not in ("GET", "HEAD")

    @property
    def hash(self) -> str:
        """A fingerprint of everything that is sent except credentials and idempotency key."""
        parts = [
            self.method,
            self.path,
            json.dumps(self.query),
            json.dumps(self.form),
            json_text.dump(self.json),
            self.body.hex() if self.body is not None else "",
            json.dumps(self.headers),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: status, headers with lower-case names, and the body as bytes."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    _parsed: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body as JSON with exact decimals, or None where it is not JSON. Parsed once: not to be changed."""
        if not self._parsed:
            try:
                self._parsed.append(json_text.parse(self.body))
            except ValueError:
                self._parsed.append(None)
        return self._parsed[0]

    def __getitem__(self, name: str) -> Any:
        return self.json[name]

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Reply:
        """A reply that carries the value as JSON: what a look-up answers when it found the effect."""
        return cls(status, {"content-type": "application/json"}, json_text.dump(value).encode())


class Silence(StrEnum):
    """Why no usable answer came; the last part of an error's code."""

    UNREACHABLE = "unreachable"
    NAME = "name"
    CERTIFICATE = "certificate"
    PROXY = "proxy"
    FORBIDDEN = "forbidden"
    TIMEOUT = "timeout"
    NO_REPLY = "no_reply"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class NoReply:
    """No usable answer came. `sent` says whether any of the request may have reached the other side."""

    reason: str
    sent: bool
    silence: Silence = Silence.NO_REPLY


LookUpFlow: TypeAlias = Generator["Step", Reply, Reply | None]
LookUp: TypeAlias = Callable[[datetime | None], LookUpFlow]
"""Given the moment of the first send (None where no record of it is left), read until it is known whether the write
took effect: return the reply that the write would have had, or None when the effect is absent. Yields reads only."""


@dataclass(frozen=True, slots=True)
class Step:
    """A named request.

    `key` is stable and unique in its flow; replies are found by it; `name` is for people only. `look_up` finds out
    whether a write whose reply never came took effect; every write has one unless the receiver honours its idempotency
    key for ever. `accept` lists statuses beyond 2xx that the flow wants to see itself instead of a fault.
    `subject` is set where the write makes something that outlives the document of this flow, such as the customer of an
    account: the write then has a ledger row and an idempotency key of its own.
    `learns` reads a mapping from the reply; it is kept, bound to the external tenant, as soon as the reply is recorded,
    whatever becomes of the run afterwards. `relies_on` is the mapping that the request makes use of, as
    `(entity, id, system, table)`; it completes `Fault.missing` where the reply says that there is no such thing.

    The rest serves previews alone. `imagined` makes the reply that a write would have, with a made-up id; a preview
    ends at a write without it. `sources` says where the values come from: field in bracket notation (`*` for any index
    or name; `path` for ids in the path) → names such as `bill.currency`, `option.memo`, `mapping.Account.Customer`,
    `reply.invoice:1` or `constant`. `warnings` are sentences about what is made of the bill in this request.
    """

    name: str
    request: Request
    key: str
    look_up: LookUp | None = None
    accept: frozenset[int] = frozenset()
    subject: Subject | None = None
    learns: Callable[[Reply], Written | None] | None = None
    relies_on: tuple[str, str, str, str] | None = None
    imagined: Callable[[], Reply] | None = None
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What a ledger row stands for: one kind of document of one version of one entity in one external tenant."""

    entity_type: str
    entity_id: str
    version: int
    document: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Give the worker slot back until the moment has come, then go on."""

    key: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Written:
    """A mapping that the connector learnt and wants kept, bound to the external tenant.

    `entity` and `entity_id` name ours (`Account`), `table` and `external_id` theirs (`Customer`).
    """

    entity: str
    entity_id: str
    table: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The document stands in the other system. `total` is the total that the other side holds, in `currency`."""

    external_id: str
    url: str | None = None
    total: Decimal | None = None
    currency: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing is to be sent, by a rule of the configuration; `reason` names it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Nothing of the deleted bill stands in the other system any more; `note` says what was done."""

    note: str


@dataclass(frozen=True, slots=True)
class NeedsChoice:
    """A person must say what is done about what stands there; the flow wrote nothing about it yet.

    `reason` says what stands there. `fault` is set where what was chosen before cannot be done.
    """

    reason: str
    offers: tuple[Offer, ...]
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A credential opens this external tenant."""

    tenant_id: str
    tenant_name: str
    live: bool


@dataclass(frozen=True, slots=True)
class Previewed:
    """A delivery was played through without a write; `shown` is what it would send (`domain.previews`)."""

    shown: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of what was asked for; `more` where that is not all."""

    things: tuple[Thing, ...]
    more: bool = False

    @property
    def shown(self) -> Mapping[str, Any]:
        """As it is kept."""
        told = [{"id": each.id, "label": each.label, "marks": dict(each.marks)} for each in self.things]
        return {"things": told, "more": self.more}

    @classmethod
    def read(cls, shown: Mapping[str, Any]) -> Found:
        things = tuple(Thing(each["id"], each["label"], each["marks"]) for each in shown["things"])
        return cls(things, bool(shown["more"]))


@dataclass(frozen=True, slots=True)
class ManyTenants:
    """The consent opens several tenants, of which a person chooses one before the check goes on."""

    tenants: tuple[Thing, ...]


Outcome: TypeAlias = Delivered | Skipped | Withdrawn | NeedsChoice | Checked | Fault | Previewed | Found | ManyTenants
Flow: TypeAlias = Generator[Step | Pause, Reply, Outcome]


def idempotency_key(tenant: str, subject: Subject, step_key: str, epoch: int) -> str:
    """The key under which a write is sent: the same on every resume, another for every other effect.

    32 lower-case hexadecimal digits, so that it fits every vendor's limit (QuickBooks: 50 characters).
    """
    parts = (
        tenant,
        subject.entity_type,
        subject.entity_id,
        str(subject.version),
        subject.document,
        step_key,
        str(epoch),
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
