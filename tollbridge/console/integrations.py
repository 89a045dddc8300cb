"""The systems as tiles, one system with its configurations and credentials, and the documents about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from tollbridge.console import charts
from tollbridge.console.charts import Chart
from tollbridge.console.visit import MayRead, Visit
from tollbridge.domain import notifications
from tollbridge.domain.access import Permission
from tollbridge.domain.errors import NotFound
from tollbridge.domain.integrations import CredentialStatus, IntegrationStatus
from tollbridge.services import integrations, runs, systems
from tollbridge.services.integrations import Standing
from tollbridge.services.runs import Run
from tollbridge.services.systems import Destination
from tollbridge.store import credentials as credential_rows
from tollbridge.store.records import Record

router = APIRouter()

CATEGORIES = {
    "AR": "Accounts Receivables",
    "CRM": "Customer Relationship Management",
    "MARKETPLACE": "Marketplace",
    "Notifications": "Notifications",
}
"""The filters, by the connectors' categories, in the words of the user's document."""
_LONGEST = 200
WEEK = 7
"""Days that the table of configurations shows."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration with its standing and the run that it began last."""

    record: Record
    standing: Standing
    latest: Run | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """A system with what is configured for it."""

    destination: Destination
    configured: Sequence[Configured]
    credentials: Sequence[Record]

    @property
    def key(self) -> str:
        return self.destination.system.key.lower()

    @property
    def connected(self) -> int:
        """Configurations whose credential is valid."""
        return sum(each.standing.authorized for each in self.configured)

    @property
    def check(self) -> str:
        """`none`, `amber` as soon as something is configured, `green` where all of it has a valid credential."""
        if not self.configured and not self.credentials:
            return "none"
        return "green" if self.configured and self.connected == len(self.configured) else "amber"

    @property
    def words(self) -> str:
        """The check in words."""
        if self.check == "green":
            return "Configured and connected"
        if self.configured and self.connected:
            return f"{self.connected} of {len(self.configured)} connected"
        return "Configured" if self.check == "amber" else "Not configured"

    @property
    def warnings(self) -> list[str]:
        """What needs somebody, beside the check."""
        counts = {
            status: sum(each.standing.status is status for each in self.configured) for status in IntegrationStatus
        }
        invalid = sum(each["status"] == CredentialStatus.INVALID for each in self.credentials)
        said = [
            f"{counts[status]} {status.lower()}"
            for status in (IntegrationStatus.DISABLED, IntegrationStatus.DISCONNECTED, IntegrationStatus.FAILED)
            if counts[status]
        ]
        return [*said, *([f"{invalid} credential{'s' if invalid != 1 else ''} not valid"] if invalid else [])]


async def tiles(visit: Visit) -> list[Tile]:
    """Every system with what there is of it."""
    configured: dict[str, list[Configured]] = {}
    token: str | None = None
    while True:
        found, standings = await integrations.page(visit.parts.db, visit.caller, None, _LONGEST, token)
        for record in found.data:
            configured.setdefault(record["system"], []).append(Configured(record, standings[record.id]))
        token = found.next_token
        if token is None:
            break
    known: dict[str, list[Record]] = {}
    async with visit.parts.db.transaction() as tx:
        page = await credential_rows.page(tx, visit.caller.org_id, system=None, size=_LONGEST, token=None)
    for credential in page.data:
        known.setdefault(credential["system"], []).append(credential)
    return [
        Tile(each, configured.get(each.system.key, []), known.get(each.system.key, []))
        for each in systems.destinations()
    ]


@router.get("/integrations")
async def list_systems(visit: MayRead, category: str = "All", q: str = "") -> Response:
    found = await tiles(visit)
    counts = {"All": len(found)} | {
        name: sum(_category(tile) == name for tile in found) for name in CATEGORIES.values()
    }
    shown = [
        tile
        for tile in found
        if category in ("All", _category(tile)) and q.lower() in tile.destination.system.title.lower()
    ]
    return visit.page("integrations.html", tiles=shown, counts=counts, category=category, q=q)


@router.get("/integrations/{system}")
async def one_system(visit: MayRead, system: str) -> Response:
    tile = await tile_of(visit, system)
    async with visit.parts.db.transaction() as tx:
        latest = {
            each.record.id: next(
                iter((await runs.list_runs(tx, visit.caller.org_id, integration_id=each.record.id, size=1)).data), None
            )
            for each in tile.configured
        }
    configured = [Configured(each.record, each.standing, latest[each.record.id]) for each in tile.configured]
    return visit.page(
        "system.html",
        charts=await _charts(visit, tile),
        tile=tile,
        configured=configured,
        entity_types=tile.destination.connector.entity_types,
        sees_credentials=visit.may(Permission.CREDENTIALS),
    )


async def _charts(visit: Visit, tile: Tile) -> Mapping[str, Chart]:
    """The last week of each configuration, by its id; notifications are not counted by days."""
    if tile.destination.system.key == notifications.SYSTEM or not tile.configured:
        return {}
    counted = await visit.parts.tallies.count(visit.caller)
    return {each.record.id: charts.of_one(counted, each.record.id, visit.reader.zone, WEEK) for each in tile.configured}


async def tile_of(visit: Visit, system: str) -> Tile:
    """The system of an address; raises NotFound."""
    for tile in await tiles(visit):
        if tile.key == system:
            return tile
    raise NotFound("system.unknown", f"There is no system {system}.", "Choose one from Integrations.")


def _category(tile: Tile) -> str:
    category = tile.destination.connector.category
    return CATEGORIES.get(category, category)
