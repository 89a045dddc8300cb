"""Asking another system for things from which a person chooses: when it can be, when not, and what is kept of it."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from tests.console.trouble import fail, unmapped
from tests.services.answering import answering
from tests.services.test_mending import event_of
from tests.services.world import CALLER, ORG, World
from tollbridge.domain.choices import EMAIL, NAME, Asked, Thing
from tollbridge.domain.errors import Conflict, Fault, FaultKind, Invalid, NotFound, Unavailable
from tollbridge.domain.flows import Found
from tollbridge.domain.runs import Flow, RunState
from tollbridge.services import choices, clock, credentials, runs, suggestions, systems, work
from tollbridge.services.erasing import erase_account
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.parts import Parts
from tollbridge.settings import Settings
from tollbridge.wiring import connect

STRIPE, TEST = systems.find("STRIPE"), systems.find("STRIPE_TEST")
ACME = Thing("cus_a", "Account a, A@example.org", {NAME: "Account a", EMAIL: "A@example.org"})
BETA = Thing("cus_b", "account B", {NAME: "account B"})


@pytest.fixture
def parts(world: World) -> Parts:
    return connect(Settings(key=base64.b64encode(b"k" * 32).decode()), world.db)


def nothing(asked: Asked) -> Found:
    return Found(())


async def test_what_there_is_is_asked_with_the_credential_that_is_in_use(world: World, parts: Parts) -> None:
    await world.add_credential("later", "VALID", "STRIPE_TEST:acct_2:test")
    async with answering(world, lambda asked: Found((ACME,), more=True)) as asked:
        answer = await choices.look(parts, CALLER, TEST, "Customer", "acc")
        assert answer.found == Found((ACME,), more=True)
        assert answer.credential.id == "cred"
        assert asked == [Asked("Customer", "acc", limit=choices.MOST)]
        named = await choices.look(parts, CALLER, TEST, "Customer", credential_id="later")
        assert named.credential.id == "later"
        # Live and test mode share their mappings, but not their tax rates.
        assert (await choices.look(parts, CALLER, STRIPE, "Customer", integration_id="int")).credential.id == "cred"
        with pytest.raises(Conflict, match="no credential for it that works"):
            await choices.look(parts, CALLER, STRIPE, "TaxRate")
        with pytest.raises(Invalid):
            await choices.look(parts, CALLER, TEST, "Customer", "\x00")


async def test_where_it_cannot_be_asked_the_refusal_says_why_and_what_to_do(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Conflict, match="cannot be asked for Planet") as none:
        await choices.look(parts, CALLER, TEST, "Planet")
    with pytest.raises(Unavailable, match="no worker is running") as idle:
        await choices.look(parts, CALLER, TEST, "Customer")
    await work.register_worker(world.db, "w1", "host", 1, "1", clock.now())
    monkeypatch.setattr(choices, "PATIENCE", timedelta(seconds=0.1))
    with pytest.raises(Unavailable, match="gave no answer within") as slow:
        await choices.look(parts, CALLER, TEST, "Customer")
    await world.change("credentials", "cred", status="INVALID")
    with pytest.raises(Conflict, match="no credential for it that works") as broken:
        await choices.look(parts, CALLER, TEST, "Customer")
    assert all("Enter the id by hand" in (each.value.hint or "") for each in (none, idle, slow, broken))


async def test_a_refusal_of_the_system_is_told_and_says_nothing_of_the_credential(world: World, parts: Parts) -> None:
    refused = Fault(FaultKind.UNAUTHORIZED, "stripe.forbidden", "The key may not read customers.", "Let it.")
    async with answering(world, lambda asked: refused):
        with pytest.raises(Conflict, match="may not read customers") as told:
            await choices.look(parts, CALLER, TEST, "Customer")
    assert told.value.hint == "Enter the id by hand, or mend the cause: Let it."
    assert (await credentials.retrieve(parts, CALLER, "cred"))["status"] == "VALID"
    assert await world.rows("SELECT 1 FROM events WHERE type = 'IntegrationEvent'") == []
    assert await world.rows("SELECT 1 FROM alerts") == []


async def test_questions_are_listed_with_their_credential_alone_and_forgotten_after_a_day(
    world: World, parts: Parts
) -> None:
    async with answering(world, nothing):
        run_id = (await choices.look(parts, CALLER, TEST, "Customer")).run.id
    async with parts.db.transaction() as tx:
        assert (await runs.list_runs(tx, ORG)).data == []
        (listed,) = (await runs.list_runs(tx, ORG, credential_id="cred")).data
    assert (listed.id, listed.flow, listed.state) == (run_id, Flow.ASK, RunState.DELIVERED)
    await work.trim(world.db, clock.now() + timedelta(hours=23), timedelta(), timedelta(days=28))
    await choices.get(parts, CALLER, run_id)
    await work.trim(world.db, clock.now() + timedelta(hours=25), timedelta(), timedelta(days=28))
    with pytest.raises(NotFound):
        await choices.get(parts, CALLER, run_id)
    for table in ("run_snapshots", "run_previews", "run_steps", "run_records"):
        assert await world.rows(f"SELECT 1 FROM {table}") == []


async def test_a_run_that_asked_nothing_has_no_answer(world: World, parts: Parts) -> None:
    run_id = await world.send("bill", "a")
    with pytest.raises(NotFound, match="asked for nothing"):
        await choices.get(parts, CALLER, run_id)


async def test_one_question_suggests_what_matches_alone_and_is_not_mapped_yet(world: World, parts: Parts) -> None:
    await fail(world, "one", "a", unmapped("a"))
    await fail(world, "two", "b", unmapped("b"))
    event_id = await event_of(world)
    async with answering(world, lambda asked: Found((ACME, BETA))) as asked:
        found = await suggestions.look(parts, CALLER, event_id)
        (question,) = asked
        assert set(question.marks) == {
            (EMAIL, "a@example.org"),
            (NAME, "Account a"),
            (EMAIL, "b@example.org"),
            (NAME, "Account b"),
        }
        assert found.found is not None
        told = [(each.ours.id, each.thing.id, each.evidence) for each in found.found]
        assert told == [
            ("a", "cus_a", "same e-mail address a@example.org"),
            ("b", "cus_b", "same name Account b"),
        ]
        assert await world.rows("SELECT 1 FROM external_mappings") == []
        assert found.run is not None
        mapping = {"m3terEntity": "Account", "externalSystem": "Stripe", "externalTable": "Customer"}
        await EXTERNAL_MAPPINGS.create(world.db, CALLER, mapping | {"m3terId": "other", "externalId": "cus_a"})
        again = await suggestions.look(parts, CALLER, event_id, found.run.id)
        assert [each.ours.id for each in again.found or ()] == ["b"]
        assert len(asked) == 1


async def test_suggestions_that_take_long_are_read_later(
    world: World, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(world, "one", "a", unmapped("a"))
    event_id = await event_of(world)
    await work.register_worker(world.db, "w1", "host", 1, "1", clock.now())
    monkeypatch.setattr(choices, "PATIENCE", timedelta())
    begun = await suggestions.look(parts, CALLER, event_id)
    assert begun.found is None
    assert begun.run is not None
    world.now = clock.now()
    (claimed,) = await world.claim(begun.run.id)
    assert await world.settle(claimed, Found((ACME,)))
    later = await suggestions.look(parts, CALLER, event_id, begun.run.id)
    assert [each.thing.id for each in later.found or ()] == ["cus_a"]


async def test_a_group_that_lacks_no_mapping_has_no_suggestions(world: World, parts: Parts) -> None:
    await fail(world, "one", "a")
    with pytest.raises(Conflict, match="lacks a mapping"):
        await suggestions.look(parts, CALLER, await event_of(world, "stripe.customer_gone"))


async def test_what_was_looked_for_goes_with_a_person_who_is_erased(world: World, parts: Parts) -> None:
    async with answering(world, lambda asked: Found((ACME,))):
        await choices.look(parts, CALLER, TEST, "Customer", "a@example.org")
    await erase_account(world.db, CALLER, "a")
    assert await world.rows("SELECT 1 FROM runs WHERE flow = 'ask'") == []
    assert await world.rows("SELECT 1 FROM run_previews") == []
