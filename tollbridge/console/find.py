"""Everything there is to go to: pages, actions and things by their names. A page of its own, and over every other page
where there is script; and the keys that lead there."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Response

from tollbridge.console.accounts import ACCOUNT
from tollbridge.console.rail import Place, rail
from tollbridge.console.visit import Anybody, Visit
from tollbridge.domain.access import Permission
from tollbridge.domain.fields import printable
from tollbridge.domain.notifications import SYSTEM as WEBHOOK
from tollbridge.services import credentials, integrations, systems
from tollbridge.services.accounts import ACCOUNTS

router = APIRouter()

MOST = 12
"""Places that are shown for words that somebody typed."""
_LOOKED_AT = 200
_ACCOUNTS = 5


_ACTIONS: Sequence[tuple[Place, Permission]] = tuple(
    (Place(words, path, "Action"), Permission(permission))
    for words, path, permission in (
        ("New credential", "/credentials/new", "credentials"),
        ("Import bills", "/bills/import", "write-billing"),
        ("New external mapping", "/mappings/new", "map"),
        ("Import external mappings", "/mappings/import", "map"),
        ("New notification rule", "/rules/new", "configure"),
        ("New outgoing webhook", "/webhooks/new", "configure"),
        ("Show failed runs", "/runs?status=ERROR", "read"),
        ("Invite somebody", "/users/invite", "administer"),
        ("New API key", "/keys/new", "administer"),
    )
)
_FOR_ALL = (
    Place("Documents", "/docs"),
    Place("Support", "/support"),
    Place("Your account", "/account"),
    Place("Keys", "/shortcuts"),
)


@router.get("/find")
async def find(visit: Anybody, q: str = "") -> Response:
    """What has all the words somewhere in its name; without words the pages and actions."""
    printable(q, "q")
    wanted = q.strip()
    found = await _named(visit, wanted) if wanted else [*rail(visit.may), *_actions(visit)]
    return visit.page("find.html", q=wanted, found=found[:MOST] if wanted else found)


@router.get("/shortcuts")
async def shortcuts(visit: Anybody) -> Response:
    return visit.page("shortcuts.html", places=rail(visit.may))


def _actions(visit: Visit) -> list[Place]:
    made = [place for place, permission in _ACTIONS if visit.may(permission)]
    if visit.may(Permission.CONFIGURE):
        made += [
            Place(f"Configure {each.system.title}", f"/integrations/{each.system.key.lower()}/new", "Action")
            for each in systems.destinations()
            if each.system.key != WEBHOOK
        ]
    return [*made, *_FOR_ALL]


async def _named(visit: Visit, wanted: str) -> list[Place]:
    """What is called so; names that begin with the words first."""
    words = wanted.casefold().split()
    fits = [
        place
        for place in [*rail(visit.may), *_actions(visit), *await _things(visit)]
        if all(word in place.words.casefold() for word in words)
    ]
    fits.sort(key=lambda place: not place.words.casefold().startswith(words[0]))
    if visit.may(Permission.READ_BILLING):
        accounts = await ACCOUNTS.browse(visit.parts.db, visit.caller, wanted, _ACCOUNTS, None)
        fits += [Place(each["name"], f"/accounts/{each.id}", ACCOUNT) for each in accounts.data]
    return fits


async def _things(visit: Visit) -> list[Place]:
    """Systems, integrations and credentials."""
    found: list[Place] = []
    if visit.may(Permission.READ):
        found += [
            Place(each.system.title, f"/integrations/{each.system.key.lower()}", "System")
            for each in systems.destinations()
        ]
        configured, _ = await integrations.page(visit.parts.db, visit.caller, None, _LOOKED_AT, None)
        found += [Place(each["name"], f"/configurations/{each.id}", "Integration") for each in configured.data]
    if visit.may(Permission.CREDENTIALS):
        known = await credentials.page(visit.parts, visit.caller, None, _LOOKED_AT, None)
        found += [Place(each["name"], f"/credentials/{each.id}", "Credential") for each in known.data]
    return found
