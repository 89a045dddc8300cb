"""What every connector owes, asked of each one found. A new connector needs no line here.

Those that send bills to vendors owe more than those that send notifications to receivers: a receiver has an address of
its own for each webhook, recognises a message by its id whenever it comes again, and every answer of it but success is
a failed attempt, whatever its body.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel, SecretStr

from tests.connectors.contracts import contract_of
from tests.connectors.driver import Crash, Driver
from tests.connectors.stand_ins import world_of
from tests.connectors.transcripts import Transcript, shown, shown_outcome, steps_of, transcripts_of
from tollbridge.connectors.base import Connector, all_connectors
from tollbridge.domain.choices import Asked
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Delivered, Found, Outcome, Reply, Request, Step, Subject
from tollbridge.domain.notifications import Schedule

CONNECTORS = list(all_connectors().values())
RECEIVERS = [connector for connector in CONNECTORS if connector.entity_types == ("Notification",)]
VENDORS = [connector for connector in CONNECTORS if connector not in RECEIVERS]
TRANSCRIPTS = [(connector, transcript) for connector in CONNECTORS for transcript in transcripts_of(connector)]
EVENTFUL = [(connector, transcript) for connector, transcript in TRANSCRIPTS if transcript.steps]
BILLED = [(connector, transcript) for connector, transcript in EVENTFUL if connector in VENDORS]
SENT = [(connector, transcript) for connector, transcript in EVENTFUL if connector in RECEIVERS]
HEADINGS = ["Purpose", "Credential", "Options", "What is sent", "Money", "Errors", "Limits"]


def named(value: object) -> str:
    return value.key if isinstance(value, Connector) else value.path.stem if isinstance(value, Transcript) else ""


each_connector = pytest.mark.parametrize("connector", CONNECTORS, ids=named)
each_vendor = pytest.mark.parametrize("connector", VENDORS, ids=named)
each_receiver = pytest.mark.parametrize("connector", RECEIVERS, ids=named)
each_transcript = pytest.mark.parametrize(("connector", "transcript"), TRANSCRIPTS, ids=named)
each_sent = pytest.mark.parametrize(("connector", "transcript"), SENT, ids=named)
CRASHES = [(connector, transcript, step["key"]) for connector, transcript in BILLED for step in transcript.steps]
each_crash = pytest.mark.parametrize(
    ("connector", "transcript", "key"),
    CRASHES,
    ids=lambda value: named(value) or str(value),
)


def replayed(connector: Connector, transcript: Transcript) -> tuple[list[Step], Outcome]:
    return steps_of(transcript.start(connector), transcript.replies)


# Options, credential, docs


@each_connector
def test_options_and_credential_have_a_schema_that_describes_every_field(connector: Connector) -> None:
    for model in (connector.config, connector.credential):
        schema = model.model_json_schema(by_alias=True)
        jsonschema_rs.meta.validate(schema)
        assert schema["additionalProperties"] is False
        for name, field in schema["properties"].items():
            assert field.get("description", "").endswith("."), f"{model.__name__}.{name} has no description"


@each_connector
def test_every_option_has_a_default_and_a_camel_case_name(connector: Connector) -> None:
    schema = connector.config.model_json_schema(by_alias=True)
    assert "required" not in schema
    assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", name) for name in schema["properties"])


@each_connector
def test_every_secret_of_the_credential_hides_itself(connector: Connector) -> None:
    secrets = [name for name, field in connector.credential.model_fields.items() if field.annotation is SecretStr]
    assert secrets
    shown_model: BaseModel = connector.credential.model_construct(None, **{name: SecretStr("hush") for name in secrets})
    assert "hush" not in f"{shown_model!r} {shown_model} {shown_model.model_dump_json()}"


@each_connector
def test_the_docs_have_their_headings_and_name_every_option(connector: Connector) -> None:
    assert re.findall(r"^## (.+)$", connector.docs, re.MULTILINE) == HEADINGS
    names = connector.config.model_json_schema(by_alias=True)["properties"]
    names |= connector.credential.model_json_schema(by_alias=True)["properties"]
    assert [name for name in names if f"`{name}`" not in connector.docs] == []


@each_connector
def test_systems_are_told_apart_and_twins_share_their_mappings(connector: Connector) -> None:
    assert len({system.key for system in connector.systems}) == len(connector.systems)
    assert len({system.mapping_system for system in connector.systems}) == 1
    if connector in VENDORS:
        assert all(system.base_url.startswith("https://") for system in connector.systems)
    else:
        assert [system.base_url for system in connector.systems] == [""]


# Choices


@each_connector
def test_what_options_have_ids_of_can_be_asked_for(connector: Connector) -> None:
    schemas = connector.config.model_json_schema(by_alias=True)["properties"].values()
    named = [schema["choices"] for schema in schemas if "choices" in schema]
    assert [kind for kind in named if kind not in connector.choices] == []
    mapped = {table for tables in connector.mapping_tables.values() for table in tables}
    assert set(connector.choices) <= {*named, *mapped}


OFFERS = [(connector, kind) for connector in VENDORS for kind in connector.choices]


@pytest.mark.parametrize(("connector", "kind"), OFFERS, ids=lambda value: named(value) or str(value))
@pytest.mark.parametrize("words", ["", "a", "acme", "a'b\\", "ä@x.example", "x" * 200])
async def test_choices_are_read_whatever_the_words(connector: Connector, kind: str, words: str) -> None:
    async with world_of(connector) as world:
        driver = Driver(connector, world.perform, Subject("Choices", kind, 1, "none"))
        assert await driver.run(connector.choices[kind](Asked(kind, words))) == Found(())
    assert driver.steps
    assert not any(step.request.writes for step in driver.steps)


# Conversations


@each_connector
def test_there_are_transcripts(connector: Connector) -> None:
    assert any(transcript.steps for transcript in transcripts_of(connector))


@each_transcript
def test_a_transcript_replays(connector: Connector, transcript: Transcript) -> None:
    steps, outcome = replayed(connector, transcript)
    recorded = [{name: value for name, value in step.items() if name != "reply"} for step in transcript.steps]
    assert [shown(step) for step in steps] == recorded
    assert shown_outcome(outcome) == transcript.outcome


@each_transcript
def test_a_flow_takes_the_same_steps_every_time(connector: Connector, transcript: Transcript) -> None:
    once, again = (replayed(connector, transcript)[0] for _ in range(2))
    assert [(step.key, step.request.hash) for step in once] == [(step.key, step.request.hash) for step in again]


@each_transcript
def test_every_key_is_unique_and_every_write_can_be_made_sure_of(connector: Connector, transcript: Transcript) -> None:
    steps, _ = replayed(connector, transcript)
    keys = [step.key for step in steps]
    assert len(set(keys)) == len(keys)
    system = connector.system(transcript.delivery["system"])
    for step in steps:
        assert not step.request.writes or step.look_up or system.limits.key_lifetime, step.key


@each_transcript
def test_every_request_agrees_with_the_contract_of_the_vendor(connector: Connector, transcript: Transcript) -> None:
    contract = contract_of(connector.key)
    for step in replayed(connector, transcript)[0]:
        assert contract.complaints(step.request) == [], step.key


# Crashes


async def crashed(connector: Connector, transcript: Transcript, **crash: Any) -> tuple[Driver, Outcome, dict[str, Any]]:
    """Drive the delivery against the stand-in through a crash and a resume; what came of it, and the vendor's books."""
    async with world_of(connector) as world:
        await world.prepare(transcript.before)
        driver = Driver(connector, world.perform, transcript.subject, **crash)
        if driver.lose or driver.die_after:
            with pytest.raises(Crash):
                await driver.run(transcript.start(connector))
        outcome = await driver.run(transcript.start(connector))
        secret = world.key
        books = await world.books()
    assert secret not in "".join(f"{step!r} {step}" for step in driver.steps)
    return driver, outcome, books


def held(books: dict[str, Any]) -> dict[str, Any]:
    """The books without moments."""
    plain = {name: value for name, value in books.items() if name != "now"}
    for records in (value for value in plain.values() if isinstance(value, list)):
        for record in (record for record in records if isinstance(record, dict)):
            record.pop("created", None)
            record.pop("due_date", None)
    return plain


@each_crash
async def test_a_crash_after_a_recorded_step_changes_nothing(
    connector: Connector, transcript: Transcript, key: str
) -> None:
    driver, outcome, books = await crashed(connector, transcript, die_after=key)
    straight, expected, expected_books = await crashed(connector, transcript)
    assert [step.key for step in driver.steps] == [step.key for step in straight.steps]
    assert outcome == expected
    assert driver.learnt == straight.learnt
    assert held(books) == held(expected_books)


@each_crash
async def test_a_reply_that_was_lost_is_had_again_under_the_same_key(
    connector: Connector, transcript: Transcript, key: str
) -> None:
    driver, outcome, books = await crashed(connector, transcript, lose=key)
    straight, expected, expected_books = await crashed(connector, transcript)
    assert outcome == expected
    assert driver.learnt == straight.learnt
    assert held(books) == held(expected_books)


@each_crash
async def test_a_write_whose_key_has_expired_is_looked_up_and_not_repeated(
    connector: Connector, transcript: Transcript, key: str
) -> None:
    driver, outcome, books = await crashed(connector, transcript, lose=key, keys_expired=True)
    straight, expected, expected_books = await crashed(connector, transcript)
    assert outcome == expected
    assert driver.learnt == straight.learnt
    assert held(books) == held(expected_books)
    assert all(invoice.get("emails", 0) <= 1 for invoice in books["invoices"])
    assert len(set(driver.looked_up)) == len(driver.looked_up)
    assert all(looked_up.startswith(f"{key}/") for looked_up in driver.looked_up)


# Receivers


@each_sent
def test_a_notification_is_one_request_to_its_own_address_with_its_own_bytes(
    connector: Connector, transcript: Transcript
) -> None:
    steps, outcome = replayed(connector, transcript)
    given = transcript.delivery["notification"]
    assert [(step.request.path, step.request.body) for step in steps] == [(given["url"], given["body"].encode())]
    assert outcome == Delivered(external_id=given["message_id"])


@each_receiver
def test_receivers_know_a_message_for_longer_than_any_schedule_goes_on(connector: Connector) -> None:
    longest = max(sum(schedule.waits, timedelta()) for schedule in Schedule)
    for system in connector.systems:
        assert system.limits.key_lifetime is not None
        assert system.limits.key_lifetime > longest


@each_sent
@pytest.mark.parametrize("status", [301, 308, 400, 401, 403, 404, 409, 410, 413, 429, 500, 503])
async def test_every_answer_of_a_receiver_but_success_is_a_failed_attempt(
    connector: Connector, transcript: Transcript, status: int
) -> None:
    async def perform(request: Request, idempotency_key: str | None) -> Reply:
        return Reply(status, {}, b"<html>no</html>")

    outcome = await Driver(connector, perform, Subject("Notification", "r", 1, "n")).run(transcript.start(connector))
    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.UNAVAILABLE
    assert outcome.code.startswith(f"{connector.key}.")
    assert str(status) in outcome.message
    assert outcome.hint.endswith(".")


@each_sent
@pytest.mark.parametrize("body", [b"", b"<html>thanks</html>", b'{"id": "cut o', b"\xff\xfe"])
async def test_the_body_of_a_success_does_not_matter(connector: Connector, transcript: Transcript, body: bytes) -> None:
    async def perform(request: Request, idempotency_key: str | None) -> Reply:
        return Reply(202, {}, body)

    outcome = await Driver(connector, perform, Subject("Notification", "r", 1, "n")).run(transcript.start(connector))
    assert isinstance(outcome, Delivered)


# Faults of vendors


def json_of(status: int) -> Reply:
    return Reply(status, {}, b"{}")


@each_vendor
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_of(401), FaultKind.UNAUTHORIZED),
        (json_of(403), FaultKind.UNAUTHORIZED),
        (json_of(409), FaultKind.UNAVAILABLE),
        (json_of(429), FaultKind.RATE_LIMITED),
        (json_of(500), FaultKind.UNAVAILABLE),
        (json_of(503), FaultKind.UNAVAILABLE),
        (Reply(502, {}, b"<html>Bad gateway</html>"), FaultKind.UNAVAILABLE),
        (Reply(504, {}, b""), FaultKind.UNAVAILABLE),
        (Reply(200, {}, b"<html>Log in to the network</html>"), FaultKind.UNAVAILABLE),
        (Reply(200, {}, b'{"id": "cut o'), FaultKind.UNAVAILABLE),
    ],
    ids=lambda value: f"{value.status} {value.body.decode()[:5]}" if isinstance(value, Reply) else value.value,
)
def test_a_bad_reply_becomes_the_right_fault(connector: Connector, reply: Reply, kind: FaultKind) -> None:
    fault = connector.classify(reply)
    assert fault is not None
    assert fault.kind is kind
    assert fault.code.startswith(f"{connector.key}.")
    assert fault.message
    assert fault.hint.endswith(".")


@each_crash
@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda reply: Reply(401, {}, b""), FaultKind.UNAUTHORIZED),
        (lambda reply: Reply(503, {}, b""), FaultKind.UNAVAILABLE),
        (lambda reply: Reply(reply.status, {}, reply.body[: len(reply.body) // 2]), FaultKind.UNAVAILABLE),
    ],
    ids=["401", "503", "cut off"],
)
async def test_a_bad_reply_to_any_step_ends_the_run_with_its_fault(
    connector: Connector, transcript: Transcript, key: str, spoil: Callable[[Reply], Reply], kind: FaultKind
) -> None:
    replies = transcript.replies
    bad = [step["key"] for step in transcript.steps].index(key)

    async def perform(request: Request, idempotency_key: str | None) -> Reply:
        reply = next(replies)
        return spoil(reply) if len(driver.steps) == bad else reply

    driver = Driver(connector, perform, Subject("Bill", "b", 1, "invoice"))
    outcome = await driver.run(transcript.start(connector))
    assert isinstance(outcome, Fault)
    assert outcome.kind is kind
    assert driver.steps[-1].key == key
