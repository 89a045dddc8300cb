"""External mappings: which of ours is which of theirs, written by people and by integrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.domain.catalog import EXTERNAL_MAPPING
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.fields import shown
from tollbridge.services import systems
from tollbridge.services.caller import Caller
from tollbridge.services.catalog import Catalog
from tollbridge.store import catalog
from tollbridge.store.db import Database, Tx
from tollbridge.store.records import Record
from tollbridge.store.schema import external_mappings


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "m3ter_entity": body["m3terEntity"],
        "m3ter_id": body["m3terId"],
        "external_system": body["externalSystem"],
        "external_table": body["externalTable"],
        "external_id": body["externalId"],
        "integration_id": body.get("integrationConfigId") or None,
        # Only mappings that an integration wrote are bound to the tenant it wrote to.
        "tenant": None,
    }


@dataclass(frozen=True, slots=True)
class Place:
    """Where something of ours can be mapped: the system's name in mappings, and a table there."""

    system: str
    table: str


def places_in(system_key: str, entity: str) -> list[Place]:
    """Where the system's integrations look for mappings of such an entity; none where the system is not here."""
    found = [each for each in systems.destinations() if each.system.key == system_key]
    return [
        Place(each.system.mapping_system, table)
        for each in found
        for table in each.connector.mapping_tables.get(entity, ())
    ]


async def configured_places(db: Database, caller: Caller, entity: str) -> list[Place]:
    """Where the integrations that are configured look for mappings of such an entity."""
    async with db.transaction() as tx:
        keys = await catalog.configured_systems(tx, caller.org_id)
    return list(dict.fromkeys(place for key in keys for place in places_in(key, entity)))


async def of_entity(db: Database, caller: Caller, entity: str, id: str, size: int) -> Sequence[Record]:
    """The newest mappings of one thing of ours."""
    among = {"m3ter_entity": [entity], "m3ter_id": [id]}
    return (await EXTERNAL_MAPPINGS.page(db, caller, among, size, None)).data


async def _linked_to_known(tx: Tx, org_id: str, bodies: Sequence[Mapping[str, Any]]) -> list[Refusal | None]:
    named = [body.get("integrationConfigId") for body in bodies]
    known = await catalog.known_integrations(tx, org_id, [id for id in named if id])
    return [None if not id or id in known else _unknown_integration(id) for id in named]


def _unknown_integration(id: str) -> Invalid:
    return Invalid(
        "external_mapping.integration",
        f"integrationConfigId is {shown(id)}, but there is no such integration configuration.",
        "Leave it out for a mapping that counts for all integrations of the system.",
        "integrationConfigId",
    )


EXTERNAL_MAPPINGS = Catalog(
    "external mapping",
    external_mappings,
    EXTERNAL_MAPPING,
    _columns,
    ("m3ter_entity", "m3ter_id", "external_system", "external_table", "integration_id", "tenant"),
    "m3ter_id",
    "m3terId",
    check=_linked_to_known,
)
