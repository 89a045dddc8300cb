"""Events as values: their sides, and how long ones are cut."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tollbridge.domain import json_text
from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.events import MAX_BODY, Changed, Event, entity_changed, fitted, run_failed

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def changed(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Event:
    return entity_changed("org", "e", "account", Changed("a", "a", old, new), NOW)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        (None, {"id": "a"}, "created"),
        ({"id": "a", "name": "x"}, {"id": "a", "name": "y"}, "updated"),
        ({"id": "a"}, None, "deleted"),
    ],
)
def test_what_stood_and_what_stands_make_the_event(
    old: dict[str, Any] | None, new: dict[str, Any] | None, name: str
) -> None:
    event = changed(old, new)
    assert event.name == f"configuration.account.{name}"
    assert (event.old, event.new) == (old or {}, new or {})
    assert (event.account_id, event.resource_id, event.happened_at) == ("a", "a", NOW)


def test_a_failed_run_says_why_what_to_do_and_what_is_missing() -> None:
    fault = Fault(FaultKind.UNMAPPED, "c", "No customer.", "Map one.", missing=("Account", "a", "Stripe", "Customer"))
    event = run_failed(
        "e",
        "integration.missingaccountmapping.error",
        fault,
        NOW,
        org_id="org",
        run_id="r",
        integration_id="i",
        account_id="a",
        entity_id="b",
    )
    assert event.type == "IntegrationEvent"
    assert event.new["message"] == "No customer. Map one."
    assert event.new["missing"] == {"entity": "Account", "id": "a", "system": "Stripe", "table": "Customer"}
    assert (event.account_id, event.resource_id, event.run_id, event.integration_id) == ("a", "b", "r", "i")


def test_a_vendor_s_words_are_a_sentence_before_the_way_out_follows() -> None:
    fault = Fault(FaultKind.INVALID, "c", "the customer has no e-mail address", "Give it one.")
    ids = {"org_id": "org", "run_id": "r", "integration_id": "i", "account_id": "a", "entity_id": "b"}
    event = run_failed("e", "integration.validation.error", fault, NOW, **ids)
    assert event.new["message"] == "the customer has no e-mail address. Give it one."


def of_size(size: int) -> dict[str, Any]:
    empty = len(json_text.dump(changed(None, {"id": "a", "note": ""}).body).encode())
    return {"id": "a", "note": "ü" + "x" * (size - empty - 2)}


def test_a_body_at_the_limit_stays_whole() -> None:
    event, text = fitted(changed(None, of_size(MAX_BODY)))
    assert len(text.encode()) == MAX_BODY
    assert "omitted" not in event.body["eventData"]


def test_a_body_one_byte_longer_loses_its_longest_field_on_both_sides() -> None:
    new = of_size(MAX_BODY + 1)
    event, text = fitted(changed(None, new))
    assert event.body == {"eventData": {"newDto": {"id": "a"}, "omitted": ["note"]}}
    assert json_text.parse(text) == event.body
    event, _ = fitted(changed({**new, "n": Decimal("1.10")}, {**new, "n": 2}))
    assert (event.old, event.new) == ({"id": "a", "n": Decimal("1.10")}, {"id": "a", "n": 2})


def test_so_many_fields_are_left_out_as_must_be() -> None:
    half = "x" * (MAX_BODY // 2)
    event, text = fitted(changed(None, {"id": "a", "one": half, "two": half + "x", "three": half + "xx"}))
    assert event.body["eventData"]["omitted"] == ["three", "two"]
    assert event.new["one"] == half
    assert len(text.encode()) <= MAX_BODY
