"""Files and pasted text that become bills or mappings: shown first with what would be refused, kept when confirmed.

Nothing is kept on the server in between: the page carries the text on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Response

from tollbridge.console.visit import Form, MayMap, MayWriteBilling, Visit, trying
from tollbridge.domain.errors import Invalid, Refusal, TooLarge
from tollbridge.domain.integrations import Verdict
from tollbridge.services import integrations, sheets
from tollbridge.services.imports import Noun
from tollbridge.services.sheets import MAX_TEXT, Outcome, Sheet

router = APIRouter()

ROWS_SHOWN = 20
REFUSALS_SHOWN = 100
_INTEGRATIONS_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Kind:
    """What is imported: its page, its words, an example, and what of a row is shown."""

    noun: Noun
    path: str
    one: str
    many: str
    cli: str
    example: str
    cells: Callable[[Mapping[str, Any]], Mapping[str, str]]


def _bill_cells(value: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        "Bill": str(value.get("id", "")),
        "Account": str(value.get("accountId") or value.get("accountCode") or ""),
        "Date": str(value.get("billDate", "")),
        "Total": f"{value.get('billTotal', '')} {value.get('currency', '')}",
        "Lines": str(len(value.get("lineItems") or ())),
    }


def _mapping_cells(value: Mapping[str, Any]) -> Mapping[str, str]:
    return {
        "Ours": f"{value.get('m3terEntity', '')} {value.get('m3terId', '')}",
        "System": str(value.get("externalSystem", "")),
        "Table": str(value.get("externalTable", "")),
        "External id": str(value.get("externalId", "")),
    }


BILLS = Kind(
    Noun.BILLS,
    "/bills",
    "bill",
    "bills",
    "tollbridge import bills.csv",
    "id,accountId,billDate,currency,billTotal,lineItems.description,lineItems.lineItemType,lineItems.quantity,"
    "lineItems.subtotal\nINV-1,acme,2026-01-31,EUR,30.00,Seats,STANDING_CHARGE,3,30.00",
    _bill_cells,
)
MAPPINGS = Kind(
    Noun.EXTERNAL_MAPPINGS,
    "/mappings",
    "mapping",
    "mappings",
    "tollbridge import mappings.csv --kind externalmappings",
    "m3terEntity,m3terId,externalSystem,externalTable,externalId\nAccount,acme,Stripe,Customer,cus_NffrFeUfNV2Hib",
    _mapping_cells,
)


@router.get("/bills/import")
async def import_bills(visit: MayWriteBilling) -> Response:
    return _page(visit, BILLS)


@router.post("/bills/import")
async def take_bills(visit: MayWriteBilling) -> Response:
    return await _take(visit, BILLS)


@router.get("/mappings/import")
async def import_mappings(visit: MayMap) -> Response:
    return _page(visit, MAPPINGS)


@router.post("/mappings/import")
async def take_mappings(visit: MayMap) -> Response:
    return await _take(visit, MAPPINGS)


async def _take(visit: Visit, kind: Kind) -> Response:
    """Show what would become of the rows or, where that was confirmed, import them."""
    form = await visit.form()
    async with trying() as again:
        text = await _text(form)
    if again.refusal:
        return _page(visit, kind, refusal=again.refusal)
    if not text.strip():
        return visit.go(f"{kind.path}/import", "Choose a file, or paste its text.")
    sheet = sheets.read(kind.noun, text, form.all("column"))
    keep = form.text("do") == "import" and sheet.wrong is None
    outcome = await sheets.take_in(visit.parts.db, visit.caller, sheet, keep=keep)
    if keep and not outcome.refused:
        return visit.go(kind.path, _said(kind, outcome))
    if keep:
        await visit.look_at_set_up()
    return _page(
        visit,
        kind,
        text=text,
        sheet=sheet,
        outcome=outcome,
        kept=keep,
        said=_said(kind, outcome) if keep else None,
        names=await _names(visit, kind, outcome),
    )


async def _text(form: Form) -> str:
    """What was uploaded or pasted; raises TooLarge, and Invalid where it cannot be read."""
    text = await form.file("file", MAX_TEXT) or str(form.data.get("text") or "")
    if len(text.encode()) > MAX_TEXT:
        raise TooLarge(
            "import.too_large",
            f"The text has more than {MAX_TEXT // 1024 // 1024} MB.",
            "Split it, or import the file on the command line, which takes any size.",
            "text",
        )
    if "\ufffd" in text:
        raise Invalid(
            "import.encoding",
            "The file is not UTF-8: some of its letters cannot be read.",
            "Save it as UTF-8, in a spreadsheet as “CSV UTF-8”.",
            "file",
        )
    return text


def _said(kind: Kind, outcome: Outcome) -> str:
    counts = outcome.counts
    many = len(outcome.rows)
    parts = [f"{counts[name]} {word}" for name, word in _OUTCOMES.items() if counts[name]]
    told = f" ({', '.join(parts)})" if parts else ""
    refused = f" {len(outcome.refused)} refused." if outcome.refused else ""
    return f"{many} {kind.one if many == 1 else kind.many} imported{told}.{refused}"


VERDICTS = {
    Verdict.SEND: "to be sent",
    Verdict.OUT_OF_SCOPE: "out of scope",
    Verdict.TOO_OLD: "before cut-over",
    Verdict.AWAITS_APPROVAL: "waiting for approval",
    Verdict.UNDECIDED: "for a person to decide",
    Verdict.ALREADY: "carried by a run already",
    Verdict.CANCELLED: "cancelled",
}
"""What integrations do about bills, in words."""
_OUTCOMES = {"created": "new", "updated": "changed", "unchanged": "as they were"}


async def _names(visit: Visit, kind: Kind, outcome: Outcome) -> Mapping[str, str]:
    """The names of the integrations that do something about the rows, by id."""
    if not outcome.decisions:
        return {}
    found, _ = await integrations.page(visit.parts.db, visit.caller, None, _INTEGRATIONS_SHOWN, None)
    return {each.id: str(each["name"]) for each in found.data}


def _page(
    visit: Visit,
    kind: Kind,
    *,
    text: str = "",
    sheet: Sheet | None = None,
    outcome: Outcome | None = None,
    kept: bool = False,
    names: Mapping[str, str] | None = None,
    refusal: Refusal | None = None,
    **values: Any,
) -> Response:
    wrong = refusal or (sheet.wrong if sheet else None)
    rows: Sequence[Any] = outcome.rows[:ROWS_SHOWN] if outcome else ()
    return visit.page(
        "import.html",
        400 if wrong else 200,
        kind=kind,
        text=text,
        sheet=sheet,
        outcome=outcome,
        counts=[(word, outcome.counts[name]) for name, word in _OUTCOMES.items()] if outcome else [],
        rows=[(row, kind.cells(row.value)) for row in rows],
        refused=outcome.refused[:REFUSALS_SHOWN] if outcome else [],
        fields=sheets.fields_of(kind.noun),
        names=names or {},
        verdicts=VERDICTS,
        kept=kept,
        refusal=wrong,
        megabytes=MAX_TEXT // 1024 // 1024,
        **{name: value for name, value in values.items() if value is not None},
    )
