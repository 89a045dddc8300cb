"""Service users, the callers of the API, and their access keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain.access import Role
from tollbridge.domain.audit import Action
from tollbridge.domain.errors import Conflict
from tollbridge.domain.fields import Shape, one_of, required, trimmed
from tollbridge.services import audit, clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version, load, missing
from tollbridge.services.tokens import hash_token, new_token
from tollbridge.store import access_keys, records
from tollbridge.store.access_keys import AccessKey
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Page, Record
from tollbridge.store.schema import service_users

NOUN = "service user"
KEY = "AccessKey"
"""As what the audit log names an access key."""
_NAME = required(trimmed(least=1, most=200))
_ROLE = one_of(Role)
BODY = Shape({"name": _NAME, "role": required(_ROLE)})
CHANGE = Shape({"name": _NAME, "role": _ROLE})
"""Without a role it stays what it is."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh access key with its secret, which is shown once and stored nowhere."""

    id: str
    secret: str


async def create(db: Database, caller: Caller, body: Any) -> Record:
    async with db.transaction() as tx:
        return await add(tx, caller, body)


async def add(tx: Tx, caller: Caller, body: Any) -> Record:
    """The same inside a transaction of the caller's."""
    kept = BODY.check(body)
    record = records.fresh(caller.org_id, clock.new_id(), clock.now(), caller.principal, kept, **kept)
    await records.add(tx, service_users, record)
    return record


async def retrieve(db: Database, caller: Caller, id: str) -> Record:
    async with db.transaction() as tx:
        return await load(tx, service_users, caller.org_id, id, NOUN)


async def page(db: Database, caller: Caller, size: int, token: str | None) -> Page:
    async with db.transaction() as tx:
        return await records.page(tx, service_users, caller.org_id, size=size, token=token)


async def update(db: Database, caller: Caller, id: str, body: Mapping[str, Any]) -> Record:
    """Rename it, or give it another role; raises Conflict for the caller's own role, who would lock itself out."""
    given = CHANGE.check(body)
    async with db.transaction() as tx:
        record = await load(tx, service_users, caller.org_id, id, NOUN, lock=True)
        check_version(record, body)
        kept = {"role": record["role"], **given}
        if _is_own(caller, id) and kept["role"] != record["role"]:
            raise Conflict(
                "service_user.own",
                f"{record['name']} is the service user of this very call.",
                "Change its role with an access key of another service user.",
                "role",
            )
        changed = record.changed(clock.now(), caller.principal, body=kept, **kept)
        await records.save(tx, service_users, changed)
    return changed


async def delete(db: Database, caller: Caller, id: str) -> Record:
    """Delete it with its keys; raises Conflict for the caller itself, who would lock itself out."""
    async with db.transaction() as tx:
        record = await load(tx, service_users, caller.org_id, id, NOUN, lock=True)
        if _is_own(caller, id):
            raise Conflict(
                "service_user.own",
                f"{record['name']} is the service user of this very call.",
                "Delete it with an access key of another service user.",
            )
        for key in await access_keys.of_service_user(tx, caller.org_id, id):
            await access_keys.remove(tx, key.id)
            await audit.note(tx, caller, Action.DELETE, KEY, key.id, before=_told(key))
        await records.remove(tx, service_users, caller.org_id, id)
    return record


async def create_key(db: Database, caller: Caller, service_user_id: str) -> tuple[AccessKey, NewKey]:
    """A new key of the service user; several may be active at once, so that keys can be changed without a gap."""
    async with db.transaction() as tx:
        await load(tx, service_users, caller.org_id, service_user_id, NOUN)
        made = await add_key(tx, caller, service_user_id)
        return await _key(tx, caller, service_user_id, made.id), made


async def add_key(tx: Tx, caller: Caller, service_user_id: str) -> NewKey:
    """The same inside a transaction of the caller's."""
    secret = new_token()
    id = clock.new_id()
    key = AccessKey(id, caller.org_id, service_user_id, hash_token(secret), True, clock.now())
    await access_keys.add(tx, key)
    await audit.note(tx, caller, Action.CREATE, KEY, id, after=_told(key))
    return NewKey(id, secret)


async def keys(db: Database, caller: Caller, service_user_id: str) -> Sequence[AccessKey]:
    async with db.transaction() as tx:
        await load(tx, service_users, caller.org_id, service_user_id, NOUN)
        return await access_keys.of_service_user(tx, caller.org_id, service_user_id)


async def set_key_active(db: Database, caller: Caller, service_user_id: str, id: str, active: bool) -> AccessKey:
    """Let the key in or keep it out; tokens of an inactive key stop working within seconds."""
    async with db.transaction() as tx:
        before = await _key(tx, caller, service_user_id, id)
        await access_keys.set_active(tx, id, active)
        key = await _key(tx, caller, service_user_id, id)
        action = Action.ENABLE if active else Action.DISABLE
        await audit.note(tx, caller, action, KEY, id, before=_told(before), after=_told(key))
    return key


async def delete_key(db: Database, caller: Caller, service_user_id: str, id: str) -> AccessKey:
    async with db.transaction() as tx:
        key = await _key(tx, caller, service_user_id, id)
        await access_keys.remove(tx, id)
        await audit.note(tx, caller, Action.DELETE, KEY, id, before=_told(key))
    return key


def _told(key: AccessKey) -> dict[str, Any]:
    return {"serviceUserId": key.service_user_id, "active": key.active}


def _is_own(caller: Caller, id: str) -> bool:
    return caller.principal == f"SERVICE_USER_{id}"


async def _key(tx: Tx, caller: Caller, service_user_id: str, id: str) -> AccessKey:
    key = await access_keys.find(tx, id)
    if key is None or (key.org_id, key.service_user_id) != (caller.org_id, service_user_id):
        raise missing("access key", id)
    return key
