"""External mappings: which of ours is which of theirs; listed, made in two stages, changed, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from tollbridge.console.accounts import ACCOUNT, known_accounts
from tollbridge.console.choices import place_of
from tollbridge.console.visit import Form, MayMap, MayRead, Visit, local, trying
from tollbridge.domain.errors import FaultKind, NotFound, Refusal
from tollbridge.domain.fields import printable
from tollbridge.services import external_mappings, integrations, runs, systems
from tollbridge.services.accounts import ACCOUNTS
from tollbridge.services.catalog import Catalog
from tollbridge.services.external_mappings import EXTERNAL_MAPPINGS
from tollbridge.services.products import PRODUCTS
from tollbridge.store.records import Record

router = APIRouter()

_SHOWN = 50
_FOUND = 20
"""Accounts or products from which one is chosen; a search narrows them."""
_INTEGRATIONS_SHOWN = 200
PRODUCT = "Product"
ENTITIES: Mapping[str, Catalog] = {ACCOUNT: ACCOUNTS, PRODUCT: PRODUCTS}
"""What can be mapped and chosen from a list."""
FIELDS = {
    "entity": "m3terEntity",
    "id": "m3terId",
    "system": "externalSystem",
    "table": "externalTable",
    "external": "externalId",
    "integration": "integrationConfigId",
}
"""The fields of the form by those of the wire."""


@router.get("/mappings")
async def list_mappings(
    visit: MayRead, system: str = "", entity: str = "", id: str = "", after: str | None = None
) -> Response:
    filters = {"system": system, "entity": entity, "id": id}
    for name, value in filters.items():
        printable(value, name)
    among = {
        "external_system": [system] if system else [],
        "m3ter_entity": [entity] if entity else [],
        "m3ter_id": [id] if id else [],
    }
    found = await EXTERNAL_MAPPINGS.page(visit.parts.db, visit.caller, among, _SHOWN, after)
    return visit.page(
        "mappings.html",
        found=found,
        size=_SHOWN,
        filters={name: value for name, value in filters.items() if value},
        names=await _names(visit, found.data),
        systems=list(_tables()),
        entities=list(ENTITIES),
        integrations={each.id: each["name"] for each in await _integrations(visit)},
    )


@router.get("/mappings/new")
async def new_mapping(
    visit: MayMap,
    entity: str = ACCOUNT,
    id: str = "",
    system: str = "",
    table: str = "",
    external: str = "",
    integration: str = "",
    next: str = "",
    run: str = "",
    q: str = "",
) -> Response:
    """First which of ours, then which of theirs; a run that failed for want of a mapping says both but the id."""
    kept = {"entity": entity, "id": id, "system": system, "table": table, "next": next}
    kept |= {"external": external, "integration": integration}
    if run:
        kept = await _missing_in(visit, run) | {"next": next or f"/runs/{run}"}
    for name, value in {**kept, "q": q}.items():
        printable(value, name)
    if kept["id"]:
        return await _form(visit, kept)
    catalog = ENTITIES.get(kept["entity"], ACCOUNTS)
    found = await catalog.browse(visit.parts.db, visit.caller, q.strip(), _FOUND, None)
    return visit.page(
        "mapping-choose.html",
        found=found,
        q=q.strip(),
        entity=kept["entity"] if kept["entity"] in ENTITIES else ACCOUNT,
        entities=list(ENTITIES),
        kept={name: value for name, value in kept.items() if value and name not in ("entity", "id")},
    )


@router.post("/mappings/new")
async def create_mapping(visit: MayMap) -> Response:
    form = await visit.form()
    async with trying() as again:
        made = await EXTERNAL_MAPPINGS.create(visit.parts.db, visit.caller, _body(form))
    if again.refusal:
        return await _form(visit, form.plain(), refusal=again.refusal)
    return visit.go(_next(form, made), f"{made['m3ter_id']} is {made['external_id']} in {made['external_system']}.")


@router.get("/mappings/{id}/edit")
async def edit_mapping(visit: MayMap, id: str, next: str = "", external: str = "") -> Response:
    """With `external`, that id stands in the form in place of the present one."""
    printable(external, "external")
    record = await EXTERNAL_MAPPINGS.retrieve(visit.parts.db, visit.caller, id)
    kept = {name: str(record.body.get(field) or "") for name, field in FIELDS.items()}
    return await _form(visit, kept | {"next": next} | ({"external": external} if external else {}), record=record)


@router.post("/mappings/{id}/edit")
async def update_mapping(visit: MayMap, id: str) -> Response:
    form = await visit.form()
    record = await EXTERNAL_MAPPINGS.retrieve(visit.parts.db, visit.caller, id)
    async with trying() as again:
        body = _body(form) | form.version()
        changed = await EXTERNAL_MAPPINGS.update(visit.parts.db, visit.caller, id, body)
    if again.refusal:
        return await _form(visit, form.plain(), record=record, refusal=again.refusal)
    return visit.go(_next(form, changed), "The mapping was updated.")


@router.get("/mappings/{id}/delete")
async def ask_delete(visit: MayMap, id: str) -> Response:
    """The question of the dialog as a page, for browsers without script."""
    record = await EXTERNAL_MAPPINGS.retrieve(visit.parts.db, visit.caller, id)
    return visit.page("mapping-delete.html", record=record)


@router.post("/mappings/{id}/delete")
async def delete_mapping(visit: MayMap, id: str) -> Response:
    await visit.form()
    gone = await EXTERNAL_MAPPINGS.delete(visit.parts.db, visit.caller, id)
    return visit.go("/mappings", f"The mapping of {gone['m3ter_id']} to {gone['external_id']} was deleted.")


def _body(form: Form) -> dict[str, Any]:
    """What the form says, as a body of the API."""
    return {field: form.text(name) for name, field in FIELDS.items() if form.text(name)}


def _next(form: Form, mapping: Record) -> str:
    """The page that sent here, where it is one of the Console, else the mappings of the same thing."""
    if form.text("next"):
        return local(form.text("next"))
    return "/mappings?" + urlencode({"entity": mapping["m3ter_entity"], "id": mapping["m3ter_id"]})


async def _form(
    visit: Visit, kept: Mapping[str, str], *, record: Record | None = None, refusal: Refusal | None = None
) -> Response:
    """The second stage, new or of a mapping; what was sent stands in it again where it was refused."""
    kept = dict.fromkeys((*FIELDS, "next"), "") | dict(kept)
    tables = _tables()
    if not kept["system"] and kept["entity"] and record is None:
        places = await external_mappings.configured_places(visit.parts.db, visit.caller, kept["entity"])
        if places:
            kept |= {"system": places[0].system, "table": kept["table"] or places[0].table}
    back = local(kept["next"]) if kept["next"] else "/mappings"
    return visit.page(
        "mapping-form.html",
        400 if refusal else 200,
        look_up=_look_up(kept, record),
        record=record,
        kept=kept,
        back=back,
        name=await _name(visit, kept["entity"], kept["id"]),
        systems=list(tables),
        tables=sorted({table for each in tables.values() for table in each}),
        integrations=await _integrations(visit),
        refusal=refusal,
        at=next((name for name, field in FIELDS.items() if refusal and refusal.field == field), ""),
    )


def _look_up(kept: Mapping[str, str], record: Record | None) -> str:
    """The page on which the external id is looked up in the system; empty where it cannot be asked."""
    found = next((each for each in systems.destinations() if each.system.mapping_system == kept["system"]), None)
    if found is None or kept["table"] not in found.connector.choices:
        return ""
    page = f"/mappings/{record.id}/edit" if record else "/mappings/new"
    query = {name: value for name, value in kept.items() if value and name not in ("external", "csrf", "version")}
    there = f"{page}?{urlencode(query)}&external="
    return place_of(found.system.key, kept["table"], "field-external", next=there, integration=kept["integration"])


async def _missing_in(visit: Visit, run_id: str) -> dict[str, str]:
    """What mapping the run wants; without an id where it failed for another cause."""
    async with visit.parts.db.transaction() as tx:
        run = await runs.get_run(tx, visit.caller.org_id, run_id)
    places = external_mappings.places_in(run.system, ACCOUNT)
    if run.fault_kind != FaultKind.UNMAPPED or run.account_id is None or not places:
        return {"entity": ACCOUNT, "id": "", "system": "", "table": ""}
    return {"entity": ACCOUNT, "id": run.account_id, "system": places[0].system, "table": places[0].table}


def _tables() -> Mapping[str, Sequence[str]]:
    """The tables of each system to which something can be mapped."""
    return {each["name"]: each["tables"] for each in systems.mapping_catalogue()["externalSystems"] if each["tables"]}


async def _integrations(visit: Visit) -> Sequence[Record]:
    """The integrations to which a mapping can be linked."""
    found, _ = await integrations.page(visit.parts.db, visit.caller, None, _INTEGRATIONS_SHOWN, None)
    return [each for each in found.data if external_mappings.places_in(each["system"], ACCOUNT)]


async def _name(visit: Visit, entity: str, id: str) -> str:
    """How people call the thing of ours, its id where there is no such thing."""
    if entity not in ENTITIES or not id:
        return id
    try:
        return str((await ENTITIES[entity].retrieve(visit.parts.db, visit.caller, id))["name"])
    except NotFound:
        return id


async def _names(visit: Visit, found: Sequence[Record]) -> Mapping[str, Record]:
    """The accounts of these mappings, by id, where the visitor may see accounts."""
    if not visit.may("read-billing"):
        return {}
    return await known_accounts(visit, {each["m3ter_id"] for each in found if each["m3ter_entity"] == ACCOUNT})
