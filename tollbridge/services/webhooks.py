"""Outgoing webhooks: where notifications go, how they are delivered, and the credential that each has of its own.

The address is checked before the transaction, since that asks the DNS. Nothing here sends anything.
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tollbridge.domain.errors import Conflict
from tollbridge.domain.fields import (
    Rule,
    Shape,
    boolean,
    integer,
    number,
    object_of,
    one_of,
    required,
    shown,
    text,
    trimmed,
)
from tollbridge.domain.integrations import CredentialStatus
from tollbridge.domain.notifications import MAX_CONCURRENCY, SYSTEM, Schedule, change_secret
from tollbridge.domain.runs import tenant_key
from tollbridge.services import clock, systems
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version, load
from tollbridge.services.parts import Parts
from tollbridge.services.sealing import open_fields, seal_fields
from tollbridge.store import bulk, catalog, integrations, notifying, records
from tollbridge.store import credentials as credential_rows
from tollbridge.store import webhooks as rows
from tollbridge.store.db import Tx, raw
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import credentials, webhooks
from tollbridge.store.webhooks import Counts

NOUN = "webhook"
CREDENTIAL_TYPE = "M3TER_SIGNED_REQUEST"
LONGEST_CODE = 80
COUNTED_BACK = timedelta(hours=24)
COUNTED_TO = 10_000
"""Deliveries that are counted at most: a count of so many means so many or more."""

_SECRETS = ("apiKey", "secret")
# Judged by the connector, which does not repeat what was given.
_SECRET = Rule(lambda value, path: value, {"type": "string", "minLength": 1, "maxLength": 1000}, expected="text")
_CREDENTIALS = Shape(
    {
        "type": required(one_of((CREDENTIAL_TYPE,))),
        "apiKey": _SECRET,
        "secret": _SECRET,
        "destination": text(most=200),
        "empty": boolean(),
        "name": trimmed(most=200),
        "version": integer(least=0),
    }
)
_OPTIONS: Mapping[str, Rule] = {
    "schedule": one_of(Schedule),
    "ordered": boolean(),
    "concurrency": integer(least=1, most=MAX_CONCURRENCY),
    "perSecond": number(above=Decimal(0)),
    "goneDeactivates": boolean(),
}
"""How deliveries are made: fields of ours, which clients of the wire do not know. Null is the default."""
_FIELDS: Mapping[str, Rule] = {
    "name": required(trimmed(least=1, most=200)),
    "description": required(text(least=1, most=2000)),
    "url": required(text(least=1, most=2048)),
    "code": trimmed(least=1, most=LONGEST_CODE),
    "active": boolean(),
    "version": integer(least=0),
    **_OPTIONS,
}
BODY = Shape({**_FIELDS, "credentials": required(object_of(_CREDENTIALS))})
CHANGE = Shape({**_FIELDS, "credentials": object_of(_CREDENTIALS)})
"""Of a change: what is left out of credentials, code, active and the options stays as it is."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook with its credential. `told` are the secrets that an answer may repeat: none, but by the setting."""

    record: Record
    credential: Record
    told: dict[str, str]


@dataclass(frozen=True, slots=True)
class Health:
    """How a webhook fares: its deliveries of the last 24 hours, and since when they fail."""

    counts: Counts
    down_since: datetime | None


async def create(parts: Parts, caller: Caller, body: Any) -> Webhook:
    """Make a webhook with its credential; raises Invalid for bad fields and for an address that must not be reached,
    Conflict where its code is taken."""
    kept = BODY.check(body)
    fields = _first_secrets(kept["credentials"])
    await parts.resolve_allowed(kept["url"])
    id, credential_id, now = clock.new_id(), clock.new_id(), clock.now()
    credential = records.fresh(
        caller.org_id,
        credential_id,
        now,
        caller.principal,
        _credential_body(kept, id),
        name=_credential_name(kept),
        type=CREDENTIAL_TYPE,
        system=SYSTEM,
        status=CredentialStatus.VALID,
        error=None,
        checked_at=now,
        tenant=tenant_key(SYSTEM, id),
        tenant_name=None,
        secrets=seal_fields(parts.vault, credential_id, fields),
        candidate=None,
    )

    async def work(tx: Tx) -> Record:
        code = kept.get("code") or await _free_code(tx, caller.org_id, kept["name"])
        options = {name: kept[name] for name in _OPTIONS if name in kept}
        stored = _stored(kept, code, kept.get("active", True), options)
        columns = {"credential_id": credential_id, "down_since": None, "tokens": None, "refilled_at": None}
        record = records.fresh(caller.org_id, id, now, caller.principal, stored, **_columns(stored), **columns)
        await _code_is_free(tx, record)
        await records.add(tx, webhooks, record)
        await records.add(tx, credentials, credential)
        return record

    return _answer(parts, await bulk.settle_races(parts.db, work), credential)


async def update(parts: Parts, caller: Caller, id: str, body: Any) -> Webhook:
    """Replace the webhook. With another secret both sign for 24 hours; without one the present secret stays.

    Raises as `create` does; the address is only checked where it is another one.
    """
    kept = CHANGE.check(body)
    async with parts.db.transaction() as tx:
        present = await load(tx, webhooks, caller.org_id, id, NOUN)
    if kept["url"] != present["url"]:
        await parts.resolve_allowed(kept["url"])

    async def work(tx: Tx) -> tuple[Record, Record]:
        record = await load(tx, webhooks, caller.org_id, id, NOUN, lock=True)
        check_version(record, body)
        stored = _stored(
            kept,
            kept.get("code") or record["code"],
            kept.get("active", record["active"]),
            _changed_options(record, kept, body),
        )
        changed = record.changed(clock.now(), caller.principal, body=stored, **_columns(stored))
        await _code_is_free(tx, changed)
        await records.save(tx, webhooks, changed)
        await _release(tx, changed)
        return changed, await _change_credential(parts, tx, caller, changed, kept)

    return _answer(parts, *await bulk.settle_races(parts.db, work))


async def set_active(parts: Parts, caller: Caller, id: str, active: bool) -> Webhook:
    """Let notifications go to the webhook, beginning with those that were held meanwhile, or hold them."""
    async with parts.db.transaction() as tx:
        record = await load(tx, webhooks, caller.org_id, id, NOUN, lock=True)
        changed = record.changed(clock.now(), caller.principal, body={**record.body, "active": active}, active=active)
        await records.save(tx, webhooks, changed)
        await _release(tx, changed)
        return await _with_credential(parts, tx, changed)


async def retrieve(parts: Parts, caller: Caller, id: str) -> Webhook:
    async with parts.db.transaction() as tx:
        return await _with_credential(parts, tx, await load(tx, webhooks, caller.org_id, id, NOUN))


async def page(
    parts: Parts, caller: Caller, ids: Sequence[str], size: int, token: str | None
) -> tuple[Page, Mapping[str, Webhook]]:
    """One page, of those with one of the ids where any is given; and each of them by its id."""
    async with parts.db.transaction() as tx:
        found = await catalog.page(tx, webhooks, caller.org_id, {"id": ids}, size=size, token=token)
        used = await credential_rows.several(tx, caller.org_id, [record["credential_id"] for record in found.data])
    return found, {record.id: _answer(parts, record, used[record["credential_id"]]) for record in found.data}


async def delete(parts: Parts, caller: Caller, id: str) -> Webhook:
    """Delete the webhook and its credential; raises Conflict, naming the integrations, while rules are linked to it."""
    async with parts.db.transaction() as tx:
        record = await load(tx, webhooks, caller.org_id, id, NOUN, lock=True)
        links = await integrations.linked_to(tx, caller.org_id, id)
        if links:
            names = ", ".join(link.name for link in links[:5])
            raise Conflict(
                "webhook.linked",
                f"{len(links)} integrations lead to the webhook {record['name']}: {names}.",
                "Delete these integrations first, or make the webhook inactive: that keeps them and sends nothing.",
            )
        deleted = await _with_credential(parts, tx, record)
        await rows.end_runs(await raw(tx), id, "The webhook was deleted.", clock.now())
        await records.remove(tx, webhooks, caller.org_id, id)
        await records.remove(tx, credentials, caller.org_id, record["credential_id"])
    return deleted


async def health(parts: Parts, caller: Caller, id: str) -> Health:
    """How the webhook fares; no delivery is counted further than to `COUNTED_TO`."""
    async with parts.db.transaction() as tx:
        record = await load(tx, webhooks, caller.org_id, id, NOUN)
        since = clock.now() - COUNTED_BACK
        return Health(await rows.counts(await raw(tx), caller.org_id, id, since, COUNTED_TO), record["down_since"])


def _first_secrets(given: Mapping[str, Any]) -> dict[str, Any]:
    """API key and secret of a new webhook. Where it is said that there are none they are made up: each message is
    signed, whether or not its receiver looks at it."""
    fields = {name: given[name] for name in _SECRETS if name in given}
    if given.get("empty"):
        fields = {"apiKey": secrets.token_urlsafe(16), "secret": _new_secret(), **fields}
    _check_secrets(fields)
    return fields


def _check_secrets(fields: Mapping[str, Any]) -> None:
    systems.check_credential(systems.find(SYSTEM), fields, "credentials")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def _change_credential(parts: Parts, tx: Tx, caller: Caller, webhook: Record, kept: Mapping[str, Any]) -> Record:
    record = await load(tx, credentials, caller.org_id, webhook["credential_id"], "credential", lock=True)
    given = kept.get("credentials", {})
    present = open_fields(parts.vault, record.id, record["secrets"])
    fields = change_secret(present, {name: given[name] for name in _SECRETS if name in given}, clock.now())
    _check_secrets(fields)
    name = given.get("name") or record["name"]
    if fields == present and name == record["name"]:
        return record
    until = fields.get("previousUntil")
    changed = record.changed(
        clock.now(),
        caller.principal,
        body={**record.body, "name": name, **({"previousSecretUntil": until} if until else {})},
        name=name,
        secrets=seal_fields(parts.vault, record.id, fields),
    )
    await records.save(tx, credentials, changed)
    return changed


def _credential_body(kept: Mapping[str, Any], webhook_id: str) -> dict[str, Any]:
    return {"name": _credential_name(kept), "destinationId": webhook_id}


def _credential_name(kept: Mapping[str, Any]) -> str:
    return str(kept["credentials"].get("name") or kept["name"])


def _stored(kept: Mapping[str, Any], code: str, active: bool, options: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: kept[name] for name in ("name", "description", "url")}
    return {**fields, "code": code, "active": active, **options}


def _columns(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stored[name] for name in ("name", "code", "url", "active")}


def _changed_options(record: Record, kept: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """What is given, and what stood and is not mentioned: a null takes an option back to its default."""
    return {
        name: kept[name] if name in kept else record.body[name]
        for name in _OPTIONS
        if name in kept or (name in record.body and name not in body)
    }


async def _free_code(tx: Tx, org_id: str, name: str) -> str:
    """A code made from the name, with a number behind it where another webhook has it already."""
    stem = re.sub(r"\W+", "_", name.lower()).strip("_")[: LONGEST_CODE - 5].strip("_") or NOUN
    known = [stem, *(f"{stem}_{number}" for number in range(2, 1000))]
    taken = await rows.holders_of(tx, org_id, known)
    return next((code for code in known if code not in taken), stem)


async def _code_is_free(tx: Tx, record: Record) -> None:
    holder = (await rows.holders_of(tx, record.org_id, [record["code"]])).get(record["code"])
    if holder is not None and holder != record.id:
        raise Conflict(
            "webhook.code",
            f"code is {shown(record['code'])}, which webhook {shown(holder)} has already.",
            f"Choose another, or change webhook {holder} instead.",
            "code",
        )


async def _release(tx: Tx, webhook: Record) -> None:
    if webhook["active"]:
        links = await integrations.linked_to(tx, webhook.org_id, webhook.id)
        enabled = [(webhook.org_id, link.id) for link in links if link.enabled]
        await notifying.release_held(await raw(tx), enabled, clock.now())


async def _with_credential(parts: Parts, tx: Tx, record: Record) -> Webhook:
    credential = await load(tx, credentials, record.org_id, record["credential_id"], "credential")
    return _answer(parts, record, credential)


def _answer(parts: Parts, record: Record, credential: Record) -> Webhook:
    told: dict[str, str] = {}
    if parts.settings.echo_webhook_secrets:
        fields = open_fields(parts.vault, credential.id, credential["secrets"])
        told = {name: fields[name] for name in _SECRETS}
    return Webhook(record, credential, told)
