"""Examples of events are events that are taken in, of every type that may be submitted."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tollbridge.domain.event_examples import example_of
from tollbridge.domain.event_input import read_event
from tollbridge.domain.event_types import EVENT_TYPES, Category, fields_of

AT = datetime(2026, 11, 2, 8, tzinfo=UTC)
TYPES = [name for name, found in EVENT_TYPES.items() if found.category is not Category.INTEGRATION]


@pytest.mark.parametrize("name", [*TYPES, "scheduled.bill.endDateEvent"])
def test_an_example_of_each_type_is_taken_in(name: str) -> None:
    example = example_of(fields_of(name), "example-1", AT)
    taken = read_event({"id": "example-1", "eventName": name, **example})
    assert taken.type.name == name
    told = {f"{side}.{field}" for side, fields in example.items() for field in fields}
    assert told <= set(fields_of(name))


def test_an_update_shows_what_stood_before_as_older_and_lower() -> None:
    example = example_of(fields_of("billing.bill.updated"), "bill-1", AT)
    new, old = example["new"], example["old"]
    assert (new["id"], new["accountId"]) == (old["id"], old["accountId"])
    assert old["billTotal"] < new["billTotal"]
    assert (old["version"], new["version"]) == (1, 2)
    assert old["dtLastModified"] < new["dtLastModified"]
    assert new["startDate"] < new["endDate"]
