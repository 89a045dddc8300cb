"""What a file of a person says, and that trying it keeps nothing."""

from __future__ import annotations

from sqlalchemy import func, select

from tests.services.world import CALLER, World
from tollbridge.services import sheets
from tollbridge.services.imports import Noun
from tollbridge.store import schema

LINE = '"lineItems":[{"lineItemType":"USAGE","description":"Calls","subtotal":5}]'


def bill(id: str, account: str = "a") -> str:
    return f'{{"id":"{id}","accountId":"{account}","billDate":"2026-11-01","currency":"EUR","billTotal":5,{LINE}}}\n'


async def rows(world: World) -> list[int]:
    tables = (schema.bills, schema.bill_revisions, schema.runs, schema.events)
    async with world.db.transaction() as tx:
        return [(await tx.execute(select(func.count()).select_from(table))).scalar_one() for table in tables]


async def test_what_is_tried_is_decided_as_it_would_be_and_leaves_nothing(world: World) -> None:
    before = await rows(world)
    sheet = sheets.read(Noun.BILLS, bill("b1") + bill("b2", "nobody"))
    tried = await sheets.take_in(world.db, CALLER, sheet, keep=False)
    assert await rows(world) == before
    done = await sheets.take_in(world.db, CALLER, sheet, keep=True)
    assert tried.counts == done.counts == {"created": 1}
    assert tried.decisions == done.decisions == {("int", "SEND"): 1}
    assert [(each.line, each.refusal.code) for each in tried.refused] == [
        (each.line, each.refusal.code) for each in done.refused
    ]
    assert await rows(world) != before


def test_columns_are_known_by_the_names_of_the_api_and_by_those_that_others_use() -> None:
    sheet = sheets.read(Noun.BILLS, "Bill ID,account_id,Bill Date,CURRENCY,Amount,lineItems.subtotal,Colour\n")
    assert sheet.fields == ["id", "accountId", "billDate", "currency", "billTotal", "lineItems.subtotal", ""]


def test_two_columns_never_go_to_one_field() -> None:
    sheet = sheets.read(Noun.BILLS, "id,invoice id,customer,account\n")
    assert sheet.fields == ["id", "", "accountId", ""]
    chosen = sheets.read(Noun.BILLS, "id,total\n", ["id", "id"])
    assert chosen.wrong is not None
    assert "stands twice" in chosen.wrong.message


def test_columns_stand_apart_by_commas_semicolons_or_tabs() -> None:
    for delimiter in ",;\t":
        text = delimiter.join(["id", "accountId"]) + "\n" + delimiter.join(["b1", '"a,;\tb"']) + "\n"
        (item,) = sheets.read(Noun.BILLS, text).items
        assert b'"accountId":"a,;\\tb"' in item.text


def test_what_is_no_csv_says_on_which_line() -> None:
    sheet = sheets.read(Noun.BILLS, 'id,accountId\nb1,"a" b\n')
    assert sheet.wrong is not None
    assert "Line 2 is not CSV" in sheet.wrong.message
    assert sheet.columns == ["id", "accountId"]
