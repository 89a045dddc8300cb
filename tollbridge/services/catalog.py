"""Entities that are found by id or by a key of their own: accounts and products by code, external mappings by what
they map.

One `Catalog` value per noun says how it is checked and what its key is; the use cases are the same for all. The nouns'
files hold the values and what is theirs alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tollbridge.domain.common_fields import own_id
from tollbridge.domain.errors import Conflict, Refusal
from tollbridge.domain.fields import Shape, shown
from tollbridge.domain.fingerprints import fingerprint
from tollbridge.services import clock
from tollbridge.services.caller import Caller
from tollbridge.services.entities import check_version, load
from tollbridge.services.raising import raise_changes
from tollbridge.services.taken_in import Put, Taken
from tollbridge.services.wire_form import change_of
from tollbridge.store import bulk, catalog, records
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Page, Record, RecordTable

OURS = frozenset({"tenant"})
"""Columns that no body fills once the record exists."""

_ID = own_id()

Body = Mapping[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One entity that came in: its id, where the caller brings one, and its checked body."""

    id: str | None
    body: Body


class _Stored:
    """What a batch found stored, and what it becomes; a key stays taken until the batch is written."""

    def __init__(self, found: Sequence[Record], keys: Sequence[Key]) -> None:
        self.original = {record.id: record for record in found}
        self.pending: dict[str, Record] = {}
        self.by_key = dict(zip(keys, found, strict=True))

    def find(self, id: str | None, key: Key) -> Record | None:
        if id is not None:
            return self.pending.get(id) or self.original.get(id)
        holder = self.by_key.get(key)
        return holder and self.pending.get(holder.id, holder)

    def note(self, record: Record, key: Key) -> None:
        self.pending[record.id] = record
        self.by_key[key] = record


async def _no_questions(tx: Tx, org_id: str, bodies: Sequence[Body]) -> Sequence[Refusal | None]:
    return [None] * len(bodies)


async def _never_in_use(tx: Tx, record: Record) -> None:
    return None


def _of_no_account(record: Record) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Catalog:
    """`columns` are the table's own, filled from the body; `key` those that are unique together; `narrow` the one of
    them by which stored ones are looked for. `check` asks the database about bodies, `free` raises where one may not
    be deleted. `words` are the columns in which people look for words. `entity` is its name in event types, where
    changes are told; `account_of` the account of a record."""

    noun: str
    table: RecordTable
    shape: Shape
    columns: Callable[[Body], dict[str, Any]]
    key: tuple[str, ...]
    narrow: str
    key_field: str
    check: Callable[[Tx, str, Sequence[Body]], Awaitable[Sequence[Refusal | None]]] = _no_questions
    free: Callable[[Tx, Record], Awaitable[None]] = _never_in_use
    words: tuple[str, ...] = ()
    entity: str | None = None
    account_of: Callable[[Record], str | None] = _of_no_account

    def read(self, value: Any) -> Item:
        """Check one that came in; raises Invalid."""
        body = self.shape.check(value)
        id = value.get("id")
        return Item(None if id is None else _ID.check(id, "id"), body)

    def alone(self, item: Item) -> str | None:
        """Entities of a catalog may come twice in one batch: the later one counts."""
        return None

    async def create(self, db: Database, caller: Caller, value: Any) -> Record:
        """Raises Conflict where the id or the key is taken."""
        item = self.read(value)

        async def work(tx: Tx) -> Record:
            await self._ask(tx, caller.org_id, item.body)
            stored = await self._stored(tx, caller.org_id, [item])
            if item.id in stored.original:
                raise Conflict(
                    f"{self._code}.exists",
                    f"{self.noun.capitalize()} {shown(item.id)} exists already.",
                    "Change it with PUT, or choose another id.",
                    "id",
                )
            now = clock.now()
            record = self._fresh(caller, item, now)
            self._key_is_free(stored, record)
            await bulk.write(tx, self.table, [record], [])
            await self._tell(tx, caller.org_id, [(None, record)], now)
            return record

        return await bulk.settle_races(db, work)

    async def retrieve(self, db: Database, caller: Caller, id: str) -> Record:
        async with db.transaction() as tx:
            return await load(tx, self.table, caller.org_id, id, self.noun)

    async def page(
        self, db: Database, caller: Caller, among: Mapping[str, Sequence[Any]], size: int, token: str | None
    ) -> Page:
        """One page of those whose columns have one of the values named, newest first."""
        async with db.transaction() as tx:
            return await catalog.page(tx, self.table, caller.org_id, among, size=size, token=token)

    async def browse(self, db: Database, caller: Caller, words: str, size: int, token: str | None) -> Page:
        """One page of those that have the words in their code or name, or are of that id, newest first."""
        async with db.transaction() as tx:
            return await catalog.browse(tx, self.table, caller.org_id, self.words, words, size=size, token=token)

    async def update(self, db: Database, caller: Caller, id: str, value: Any) -> Record:
        """Replace what the caller may set; raises NotFound, and Conflict where version or key do not allow it."""
        item = Item(id, self.shape.check(value))

        async def work(tx: Tx) -> Record:
            await load(tx, self.table, caller.org_id, id, self.noun)
            await self._ask(tx, caller.org_id, item.body)
            stored = await self._stored(tx, caller.org_id, [item])
            record = stored.original[id]
            check_version(record, value)
            now = clock.now()
            changed = self._changed(caller, record, item, now)
            self._key_is_free(stored, changed)
            await bulk.write(tx, self.table, [], [changed])
            await self._tell(tx, caller.org_id, [(record, changed)], now)
            return changed

        return await bulk.settle_races(db, work)

    async def delete(self, db: Database, caller: Caller, id: str) -> Record:
        """Answers what was deleted; raises NotFound, and Conflict where it is in use."""
        async with db.transaction() as tx:
            record = await load(tx, self.table, caller.org_id, id, self.noun, lock=True)
            await self.free(tx, record)
            await records.remove(tx, self.table, caller.org_id, id)
            await self._tell(tx, caller.org_id, [(record, None)], clock.now())
        return record

    async def put_many(self, tx: Tx, caller: Caller, items: Sequence[Item], now: datetime) -> list[Taken]:
        """Create or replace each by its id, or by its key where it brings none; each stands or falls alone."""
        stored = await self._stored(tx, caller.org_id, items)
        answers = await self.check(tx, caller.org_id, [item.body for item in items])
        taken = [
            refusal or self._place(caller, item, stored, now) for item, refusal in zip(items, answers, strict=True)
        ]
        fresh = [record for id, record in stored.pending.items() if id not in stored.original]
        changed = [record for id, record in stored.pending.items() if id in stored.original]
        await bulk.write(tx, self.table, fresh, changed)
        told = [(stored.original.get(record.id), record) for record in (*fresh, *changed)]
        await self._tell(tx, caller.org_id, told, now)
        return taken

    def _place(self, caller: Caller, item: Item, stored: _Stored, now: datetime) -> Taken:
        present = stored.find(item.id, self._key(self.columns(item.body)))
        if present is not None and fingerprint(present.body) == fingerprint(item.body):
            return Put(present.id, "unchanged")
        id = present.id if present else item.id or clock.new_id()
        # However often it comes in one batch, it is written once, one version after the stored one.
        base = stored.original.get(id)
        new = self._changed(caller, base, item, now) if base else self._fresh(caller, Item(id, item.body), now)
        try:
            self._key_is_free(stored, new)
        except Refusal as refusal:
            return refusal
        stored.note(new, self._key(new.columns))
        return Put(id, "updated" if present else "created")

    async def _tell(
        self, tx: Tx, org_id: str, changes: Sequence[tuple[Record | None, Record | None]], now: datetime
    ) -> None:
        """Raise the events of what was just written: what stood, and what stands."""
        if self.entity is not None:
            told = [change_of(old, new, self.account_of) for old, new in changes]
            await raise_changes(tx, org_id, self.entity, told, now)

    async def _ask(self, tx: Tx, org_id: str, body: Body) -> None:
        for refusal in await self.check(tx, org_id, [body]):
            if refusal:
                raise refusal

    async def _stored(self, tx: Tx, org_id: str, items: Sequence[Item]) -> _Stored:
        ids = [item.id for item in items if item.id is not None]
        narrow = [self.columns(item.body)[self.narrow] for item in items]
        found = await catalog.find(tx, self.table, org_id, ids, self.narrow, narrow)
        return _Stored(found, [self._key(record.columns) for record in found])

    def _key_is_free(self, stored: _Stored, record: Record) -> None:
        holder = stored.by_key.get(self._key(record.columns))
        if holder is not None and holder.id != record.id:
            told = " ".join(str(part) for part in self._key(record.columns) if part is not None)
            raise Conflict(
                f"{self._code}.{self.key_field}",
                f"{self.key_field} is {shown(told)}, which {self.noun} {shown(holder.id)} has already.",
                f"Choose another, or change {self.noun} {holder.id} instead.",
                self.key_field,
            )

    def _fresh(self, caller: Caller, item: Item, now: datetime) -> Record:
        id = item.id or clock.new_id()
        return records.fresh(caller.org_id, id, now, caller.principal, item.body, **self.columns(item.body))

    def _changed(self, caller: Caller, record: Record, item: Item, now: datetime) -> Record:
        columns = {name: value for name, value in self.columns(item.body).items() if name not in OURS}
        return record.changed(now, caller.principal, body=item.body, **columns)

    def _key(self, columns: Mapping[str, Any]) -> Key:
        return tuple(columns[name] for name in self.key)

    @property
    def _code(self) -> str:
        return self.noun.replace(" ", "_")
