"""The catalogue of event types: names, categories, who raises them, what rules can read."""

from __future__ import annotations

import pytest

from tollbridge.domain.errors import FAULTS, Invalid
from tollbridge.domain.event_types import (
    EVENT_TYPES,
    Category,
    Happening,
    entity_event,
    fields_of,
    scheduled_entity,
    type_of,
)

KINDS = {"string", "double", "int", "boolean", "map", "array"}


def test_there_are_the_types_of_the_wire_in_its_order() -> None:
    names = list(EVENT_TYPES)
    assert len(names) == 33 * 3 + 7
    assert names == sorted(names)
    assert names[0] == "billing.balance.created"
    assert names[-8:] == [
        "configuration.transactiontype.updated",
        "dataexport.job.failure",
        "ingest.validation.failure",
        "integration.authentication.error",
        "integration.disabled.error",
        "integration.missingaccountmapping.error",
        "integration.perform.error",
        "integration.validation.error",
    ]


def test_created_has_what_is_new_deleted_what_is_old_and_updated_both() -> None:
    def sides(name: str) -> set[str]:
        return {field.partition(".")[0] for field in fields_of(name)}

    for each in EVENT_TYPES:
        expected = {"updated": {"new", "old"}, "deleted": {"old"}}.get(each.rpartition(".")[2], {"new"})
        assert sides(each) == expected, each
        assert set(fields_of(each).values()) <= KINDS, each


def test_fields_have_the_types_of_the_wire() -> None:
    commitment = fields_of("configuration.commitment.created")
    assert commitment["new.amount"] == "double"
    assert commitment["new.billingInterval"] == "int"
    assert commitment["new.commitmentFeeBillInAdvance"] == "boolean"
    assert commitment["new.customFields"] == "map"
    assert commitment["new.feeDates"] == "array"
    assert commitment["new.startDate"] == "string"


def test_a_bill_has_its_own_fields_but_no_lines() -> None:
    bill = fields_of("billing.bill.updated")
    assert bill["new.billTotal"] == bill["old.billTotal"] == "double"
    assert bill["new.locked"] == "boolean"
    assert bill["new.billFrequencyInterval"] == bill["new.revision"] == "int"
    assert "new.lineItems" not in bill
    assert fields_of("configuration.account.created")["new.address"] == "map"
    assert fields_of("billing.billconfig.updated")["old.billLockDate"] == "string"


def test_what_we_raise_is_marked() -> None:
    held = {name for name, each in EVENT_TYPES.items() if each.held}
    ours = {"billing.bill", "configuration.account", "configuration.product"}
    assert {name for name in held if name.startswith("billing.billconfig")} == {
        "billing.billconfig.created",
        "billing.billconfig.updated",
    }
    assert {f"{entity}.{happening}" for entity in ours for happening in Happening} < held
    assert {rule.event for rule in FAULTS.values() if rule.event} == {n for n in held if n.startswith("integration.")}
    assert not EVENT_TYPES["configuration.commitment.created"].held


def test_each_type_has_its_category() -> None:
    assert EVENT_TYPES["integration.perform.error"].category is Category.INTEGRATION
    assert EVENT_TYPES["ingest.validation.failure"].category is Category.INGEST
    assert EVENT_TYPES["dataexport.job.failure"].category is Category.DATA_EXPORT
    assert entity_event("bill", Happening.CREATED).name == "billing.bill.created"
    assert entity_event("account", Happening.DELETED).name == "configuration.account.deleted"
    assert entity_event("account", Happening.DELETED).category is Category.ENTITY


def test_a_scheduled_name_is_a_type_with_the_fields_of_its_entity() -> None:
    found = type_of("scheduled.bill.endDateEvent")
    assert (found.category, found.held) == (Category.SCHEDULED, True)
    assert fields_of(found.name) == fields_of("billing.bill.created")
    assert not type_of("scheduled.contract.ends").held


@pytest.mark.parametrize(
    "name", ["scheduled.bill", "scheduled.bill.", "scheduled.nothing.x", "scheduled.Bill.x", "scheduled.bill.a.b", ""]
)
def test_other_names_are_no_scheduled_events(name: str) -> None:
    assert scheduled_entity(name) is None
    with pytest.raises(Invalid):
        fields_of(name)


def test_an_unknown_type_is_told_with_the_nearest() -> None:
    with pytest.raises(Invalid) as refusal:
        fields_of("billing.bil.created")
    assert refusal.value.hint == "Did you mean billing.bill.created?"
