"""What is kept of attempts to sign in: how many are left, and those by single sign-on that are under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tollbridge.domain.limits import Bucket
from tollbridge.domain.people import Allowance
from tollbridge.store.db import Tx
from tollbridge.store.schema import sign_in_limits, sso_sign_ins


async def take(tx: Tx, allowed: Mapping[str, Allowance], now: datetime) -> timedelta | None:
    """Take one try of each of the limits, or, where one is used up, none: then answers how long to wait."""
    keys = sorted(allowed)
    full = [{"key": key, "tokens": float(allowed[key].burst), "refilled_at": now} for key in keys]
    await tx.execute(upsert(sign_in_limits).values(full).on_conflict_do_nothing())
    query = select(sign_in_limits).where(sign_in_limits.c.key.in_(keys)).order_by(sign_in_limits.c.key)
    rows = {row.key: Bucket(row.tokens, row.refilled_at) for row in await tx.execute(query.with_for_update())}
    taken = {key: rows[key].take(1, allowed[key].rate, allowed[key].burst, now) for key in keys}
    waits = [each.wait for each in taken.values() if not each.tokens]
    if waits:
        return max(waits)
    for key, each in taken.items():
        await _save(tx, key, each.bucket)
    return None


async def give_back(tx: Tx, keys: list[str]) -> None:
    """The try was a good one: it does not count."""
    c = sign_in_limits.c
    await tx.execute(update(sign_in_limits).where(c.key.in_(keys)).values(tokens=c.tokens + 1))


async def _save(tx: Tx, key: str, bucket: Bucket) -> None:
    query = update(sign_in_limits).where(sign_in_limits.c.key == key)
    await tx.execute(query.values(tokens=bucket.tokens, refilled_at=bucket.refilled_at))


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A person was sent to the provider and is not back yet. `back` is the page that they wanted."""

    state_hash: bytes
    browser_hash: bytes
    nonce: str
    verifier: str
    back: str
    expires_at: datetime


async def begin(tx: Tx, sign_in: UnderWay) -> None:
    await tx.execute(insert(sso_sign_ins).values(asdict(sign_in)))


async def finish(tx: Tx, state_hash: bytes) -> UnderWay | None:
    """Take what is under way, once."""
    query = delete(sso_sign_ins).where(sso_sign_ins.c.state_hash == state_hash).returning(sso_sign_ins)
    row = (await tx.execute(query)).first()
    return UnderWay(**row._mapping) if row else None
