"""The main path on a PostgreSQL that is not ours, of the oldest version that we take, by the commands of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.external import Person, external_postgres, somebody, wait
from tests.e2e.stage import PATIENCE
from tollbridge.cli.demo_data.generate import FOLDER


@pytest.fixture
def person(tmp_home: Path) -> Iterator[Person]:
    with (
        external_postgres(tmp_home) as server,
        somebody(tmp_home, TOLLBRIDGE_DATABASE_URL=server.dsn()) as person,
    ):
        yield person


def test_a_month_of_bills_arrives_from_a_postgresql_15_of_ones_own(person: Person) -> None:
    # A database that was never migrated is refused with what to do.
    person.run("init", expect=4)
    assert "schema" in person.run("doctor", expect=1)
    person.run("migrate")
    person.run("migrate", "--check")
    vendor, _, key = person.start("sandbox", "--port", "0").line().partition("\tkey ")
    person.environ["TOLLBRIDGE_VENDOR_URLS"] = f"STRIPE_TEST={vendor}"
    server = person.start("serve", "--port", "0").line()
    person.run("init", "--name", "Acme", "--url", server)
    person.start("worker")
    wait(lambda: "✓ workers" in _doctor(person))
    assert "VALID" in person.run("credentials", "create", "--system", "stripe-test", "--name", "Trial", typed=key)
    person.run("integrations", "create", "--system", "stripe-test", "--name", "Invoices", "--credential", "Trial")
    for kind in ("products", "accounts", "bills"):
        person.run("import", "--kind", kind, str(FOLDER / f"{kind}.jsonl"))
    wait(lambda: _states(person) == {"delivered": 40})
    with urlopen(f"{vendor}/_admin/books", timeout=PATIENCE) as answer:
        invoices = json.load(answer)["invoices"]
    assert len({each["metadata"]["bill_id"] for each in invoices}) == len(invoices) == 40
    told = json.loads(person.run("doctor", "--json"))
    assert told["ok"], told
    assert "PostgreSQL 15" in told["checks"][0]["text"]


def _doctor(person: Person) -> str:
    return person.done("doctor").stdout


def _states(person: Person) -> dict[str, int]:
    found: dict[str, int] = {}
    for each in json.loads(person.run("status", "--json"))["totals"]:
        found[each["state"]] = found.get(each["state"], 0) + each["count"]
    return found
