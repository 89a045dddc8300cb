"""External mappings: which of ours is which of theirs, written by people and by integrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tollbridge.domain.catalog import EXTERNAL_MAPPING
from tollbridge.domain.errors import Invalid, Refusal
from tollbridge.domain.fields import shown
from tollbridge.services.catalog import Catalog
from tollbridge.store import catalog
from tollbridge.store.db import Tx
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
