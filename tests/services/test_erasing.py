"""After a person's data was erased, their name and mail address are nowhere in the whole database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.world import CALLER, ORG, World, intent
from tollbridge.domain.conversation import Entry
from tollbridge.domain.errors import Conflict, Fault, FaultKind, NotFound
from tollbridge.domain.flows import Delivered
from tollbridge.domain.json_text import parse
from tollbridge.services import bills, runs, work
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.erasing import erase_account
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.store import erasing
from tollbridge.store.db import Database
from tollbridge.store.schema import metadata

NAME, MAIL = 'Jóna "Joe" Dóe-Quist', "jona.doe-quist@private.example"
TRACES = (NAME, "Dóe-Quist", MAIL, "Baker Street 221b")
ACCOUNT = {
    "code": "JDQ",
    "name": NAME,
    "emailAddress": MAIL,
    "address": {"addressLine1": "Baker Street 221b"},
    "customFields": {"contact": NAME},
    "currency": "USD",
}


async def dump(db: Database) -> dict[str, str]:
    """Every table of the database as text."""
    tables = await db.pool.fetch(
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    found = {}
    for table in tables:
        rows = await db.pool.fetch(f"SELECT t::text AS row FROM {table['name']} t")
        found[table["name"]] = "\n".join(row["row"] for row in rows)
    return found


def holding(tables: dict[str, str], *texts: str) -> set[str]:
    """The tables in which one of the texts stands, as it is or as JSON in a row writes it."""
    written = [form for text in texts for form in (text, json.dumps(text, ensure_ascii=False)[1:-1].replace("\\", ""))]
    return {
        name for name, whole in tables.items() for text in written if text.lower() in whole.replace("\\", "").lower()
    } | {name for name, whole in tables.items() for text in texts if text.replace('"', '""').lower() in whole.lower()}


@pytest.fixture
async def person(world: World) -> World:
    """A person with a delivered bill, a failed one, a deleted one and one that waits, all of which name them."""
    await ACCOUNTS.create(world.db, CALLER, ACCOUNT | {"id": "jona"})
    mapping = {"m3terEntity": "Account", "m3terId": "jona", "externalSystem": "Stripe", "externalTable": "Customer"}
    made = await EXTERNAL_MAPPINGS.create(world.db, CALLER, mapping | {"externalId": NAME})
    await EXTERNAL_MAPPINGS.update(world.db, CALLER, made.id, mapping | {"externalId": "cus_1"})
    for id in ("delivered", "failed", "deleted", "waiting"):
        run_id = await world.send(id, "jona")
        told = {"description": f"Calls of {NAME}", "segment": {"user": MAIL}, "subtotal": 10, "productId": "prod"}
        body = {"accountId": "jona", "accountCode": NAME, "purchaseOrderNumber": MAIL, "billTotal": 10}
        await world.db.pool.execute("UPDATE bills SET body = body || $2 WHERE id = $1", id, body)
        lines = [{"id": "1", "lineItemType": "USAGE", **told}]
        await world.db.pool.execute(
            "UPDATE bill_revisions SET body = body || $2, lines = $3 WHERE bill_id = $1", id, body, lines
        )
        if id in ("delivered", "failed"):
            await settle(world, run_id, failed=id == "failed")
    await bills.delete(world.db, CALLER, "deleted")
    await world.db.pool.execute(
        "INSERT INTO run_previews (run_id, result) SELECT id, $1 FROM runs WHERE entity_id = 'failed'", {"to": NAME}
    )
    return world


async def settle(world: World, run_id: str, *, failed: bool) -> None:
    (claimed,) = await world.claim(run_id)
    await work.record(world.db, world.vault, [Entry(run_id, claimed.fence, intent=intent(claimed))])
    shown = {"method": "POST", "form": {"name": NAME, "email": MAIL}}
    await world.db.pool.execute("UPDATE run_steps SET request = $2, reply = $2 WHERE run_id = $1", run_id, shown)
    fault = Fault(FaultKind.INVALID, "stripe.bad", f"No such customer: {NAME}", f"Ask {MAIL}.")
    done = Delivered("in_1", url=f"https://pay.example/{MAIL}")
    assert await world.settle(claimed, fault if failed else done)


async def test_nothing_in_the_whole_database_tells_who_it_was(person: World) -> None:
    before = await dump(person.db)
    assert holding(before, *TRACES) >= {
        "public.accounts", "public.bills", "public.bill_revisions", "public.runs", "public.run_steps", "public.events",
        "public.run_snapshots", "public.run_previews", "public.audit_log", "public.ledger",
    }  # fmt: skip
    done = await erase_account(person.db, CALLER, "jona")
    assert holding(await dump(person.db), *TRACES) == set()
    assert {name.removeprefix("public.") for name in holding(before, *TRACES)} <= done.touched.keys()
    (elsewhere,) = done.elsewhere
    assert (elsewhere.system, elsewhere.table, elsewhere.id) == ("Stripe", "Customer", "cus_1")


async def test_ids_totals_and_hashes_stay_and_everything_can_still_be_read(person: World) -> None:
    query = "SELECT id, content_hash, total, currency FROM bills ORDER BY id"
    before = await person.rows(query)
    ledger = "SELECT entity_id, external_id, version, total FROM ledger ORDER BY entity_id"
    sent = await person.rows(ledger)
    await erase_account(person.db, CALLER, "jona")
    assert await person.rows(query) == before
    assert await person.rows(ledger) == sent
    account = await ACCOUNTS.retrieve(person.db, CALLER, "jona")
    assert ACCOUNTS.shape.check(dict(account.body)) == dict(account.body)
    assert (account.body["name"], account.body["currency"]) == ("Erased", "USD")
    found = await bills.retrieve(person.db, CALLER, "delivered")
    assert found.lines is not None
    assert found.lines[0] == {
        "id": "1", "lineItemType": "USAGE", "subtotal": 10, "productId": "prod", "description": "Erased",
    }  # fmt: skip
    for row in await person.rows("SELECT id FROM runs"):
        async with person.db.transaction() as tx:
            log = await runs.run_log(tx, ORG, row["id"])
        assert {step.request for step in log.steps} <= {None}


async def test_nobody_else_s_data_is_touched(person: World) -> None:
    await person.send("other", "a")
    query = "SELECT (SELECT body::text FROM accounts WHERE id = 'a'), (SELECT body::text FROM bills WHERE id = 'other')"
    before = await person.rows(query)
    await erase_account(person.db, CALLER, "jona")
    assert await person.rows(query) == before
    assert [row["state"] for row in await person.rows("SELECT state FROM runs WHERE entity_id = 'other'")] == ["queued"]


async def test_what_was_not_sent_yet_is_cancelled_and_what_is_under_way_is_waited_for(world: World) -> None:
    await ACCOUNTS.create(world.db, CALLER, ACCOUNT | {"id": "jona"})
    first = await world.send("b1", "jona")
    second = await world.send("b2", "jona")
    (claimed,) = await world.claim(first)
    with pytest.raises(Conflict, match="1 runs of account jona are under way"):
        await erase_account(world.db, CALLER, "jona")
    assert (await ACCOUNTS.retrieve(world.db, CALLER, "jona")).body["name"] == NAME
    await world.settle(claimed, Delivered("in_1"))
    await erase_account(world.db, CALLER, "jona")
    assert (await world.run(second)).state == "cancelled"


async def test_it_goes_on_where_it_was_interrupted_and_may_be_repeated(
    person: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = erasing.erase_runs

    async def interrupted(*arguments: Any) -> Any:
        raise ConnectionError("the machine lost power")

    monkeypatch.setattr(erasing, "erase_runs", interrupted)
    with pytest.raises(ConnectionError):
        await erase_account(person.db, CALLER, "jona")
    monkeypatch.setattr(erasing, "erase_runs", real)
    monkeypatch.setattr("tollbridge.services.erasing.BATCH", 1)
    await erase_account(person.db, CALLER, "jona")
    assert holding(await dump(person.db), *TRACES) == set()
    await erase_account(person.db, CALLER, "jona")


async def test_the_log_says_that_and_by_whom_it_was_done(person: World) -> None:
    await erase_account(person.db, CALLER, "jona")
    (row,) = await person.rows("SELECT principal, after::text FROM audit_log WHERE action = 'ERASE'")
    assert row["principal"] == CALLER.principal
    assert parse(row["after"])["accounts"] == 1


async def test_an_account_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(NotFound, match="nobody"):
        await erase_account(world.db, CALLER, "nobody")


def test_of_every_table_it_is_decided_whether_it_holds_a_person_s_data() -> None:
    assert set(metadata.tables) == erasing.HOLDS | erasing.HOLDS_NONE
    assert not erasing.HOLDS & erasing.HOLDS_NONE
