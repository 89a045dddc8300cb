"""What is offered of what the stand-in holds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.connectors.driver import Driver
from tests.connectors.stand_ins import World, world_of
from tollbridge.connectors.base import form_pairs
from tollbridge.connectors.stripe import connector
from tollbridge.connectors.stripe.choices import customers
from tollbridge.domain.choices import EMAIL, NAME, Asked
from tollbridge.domain.flows import Found, Reply, Request, Step, Subject


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with world_of(connector) as world:
        await world.limit(search_lag=0)
        yield world


async def made(world: World, kind: str, **given: object) -> str:
    reply = await world.perform(Request("POST", f"/v1/{kind}", form=form_pairs(given)))
    assert reply.ok, reply.body
    return str(reply["id"])


async def offered(world: World, asked: Asked) -> Found:
    driver = Driver(connector, world.perform, Subject("Choices", asked.of, 1, "none"))
    found = await driver.run(connector.choices[asked.of](asked))
    assert isinstance(found, Found)
    assert not any(step.request.writes for step in driver.steps)
    return found


def named(found: Found) -> list[str]:
    return [each.label for each in found.things]


async def test_customers_are_found_by_a_part_of_their_name_or_address_and_by_their_id(world: World) -> None:
    acme = await made(world, "customers", name="Acme Ltd", email="ap@acme.example")
    await made(world, "customers", name="O'Hara \\ Sons")
    await made(world, "customers", email="x@globex.example")
    for words in ("acme", "ACME LTD", "ap@acme", acme, "  acme "):
        (thing,) = (await offered(world, Asked("Customer", words))).things
        assert (thing.id, thing.label) == (acme, "Acme Ltd, ap@acme.example"), words
        assert thing.marks == {NAME: "Acme Ltd", EMAIL: "ap@acme.example"}
    assert named(await offered(world, Asked("Customer", "O'Hara \\"))) == ["O'Hara \\ Sons"]
    assert named(await offered(world, Asked("Customer"))) == [
        "x@globex.example",
        "O'Hara \\ Sons",
        "Acme Ltd, ap@acme.example",
    ]
    latest = await offered(world, Asked("Customer", limit=2))
    assert (len(latest.things), latest.more) == (2, True)
    assert await offered(world, Asked("Customer", "cus_unknown")) == Found(())
    await world.perform(Request("DELETE", f"/v1/customers/{acme}"))
    assert await offered(world, Asked("Customer", acme)) == Found(())


async def test_every_customer_with_one_of_many_marks_is_found_once(world: World) -> None:
    marks = []
    for number in range(23):
        await made(world, "customers", name=f"Firm {number}", email=f"ap{number}@firm.example")
        marks += [(EMAIL, f"AP{number}@firm.example"), (NAME, f"Firm {number}")]
    await made(world, "customers", name="Firm 1 and more")
    await made(world, "customers", name="firm 2")
    found = await offered(world, Asked("Customer", marks=tuple(marks)))
    assert sorted(named(found)) == sorted([*(f"Firm {n}, ap{n}@firm.example" for n in range(23)), "firm 2"])


async def test_tax_rates_are_those_in_use_that_are_exclusive(world: World) -> None:
    vat = {"display_name": "VAT", "percentage": "19", "jurisdiction": "Germany", "inclusive": False}
    german = await made(world, "tax_rates", **vat)
    await made(world, "tax_rates", **(vat | {"inclusive": True, "percentage": "7"}))
    old = await made(world, "tax_rates", **(vat | {"percentage": "16"}))
    await made(world, f"tax_rates/{old}", active=False)
    await made(world, "tax_rates", display_name="GST", percentage="8.875", inclusive=False)
    assert named(await offered(world, Asked("TaxRate"))) == ["GST 8.875%", "VAT 19% Germany"]
    (thing,) = (await offered(world, Asked("TaxRate", "germany vat"))).things
    assert thing.id == german


async def test_many_tax_rates_are_read_page_by_page(world: World) -> None:
    for number in range(101):
        await made(world, "tax_rates", display_name=f"Rate <{number}>", percentage="1", inclusive=False)
    assert named(await offered(world, Asked("TaxRate", "rate <0>"))) == ["Rate <0> 1%"]
    some = await offered(world, Asked("TaxRate", limit=50))
    assert (len(some.things), some.more) == (50, True)


def test_where_there_is_no_search_the_latest_are_looked_through() -> None:
    flow = customers(Asked("Customer", "acme"))
    next(flow)
    step = flow.send(Reply.of({"error": {"message": "no search here"}}, 400))
    assert isinstance(step, Step)
    assert (step.request.path, dict(step.request.query)) == ("/v1/customers", {"limit": "100"})
    with pytest.raises(StopIteration) as end:
        flow.send(Reply.of({"data": [{"id": "c1", "name": "Acme"}, {"id": "c2", "name": "X"}], "has_more": True}))
    found = end.value.value
    assert [each.id for each in found.things] == ["c1"]
    assert found.more


@pytest.mark.parametrize("words", ["cus_1/../../payouts", "cus_1/sources", "cus_1?expand[]=x", "cus_"])
def test_only_an_id_ever_stands_in_the_path(words: str) -> None:
    step = next(customers(Asked("Customer", words)))
    assert isinstance(step, Step)
    assert step.request.path == "/v1/customers/search"
