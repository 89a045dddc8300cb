"""`tollbridge audit`: who changed what, over the API."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from tollbridge.cli.common import AsJson
from tollbridge.cli.output import put_rows
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain import json_text

COLUMNS = {
    "dtOccurred": "When",
    "principal": "Who",
    "action": "Action",
    "entity": "Entity",
    "entityId": "Id",
    "changes": "Changes",
}


def audit(
    entity: Annotated[
        str | None, typer.Option(help="Only this kind: Integration, Credential, ExternalMapping, User, Run …")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Only what happened to the one with this id.")] = None,
    who: Annotated[str | None, typer.Option(help="Only what this principal did, such as USER_0199….")] = None,
    start: Annotated[str | None, typer.Option("--from", help="From this moment or day on: 2026-01-31.")] = None,
    end: Annotated[str | None, typer.Option("--until", help="Until before this moment or day.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many lines at most.")] = 100,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show who changed what, newest first: before and after, without secrets. Needs an administrator's key.

    Example: tollbridge audit --entity Integration --from 2026-11-01
    """
    from tollbridge.cli.client import Client

    asked = {"entity": entity, "entityId": id, "principal": who, "dtStart": start, "dtEnd": end}
    given = {name: value for name, value in asked.items() if value is not None}
    found = islice(Client(read_profile(profile)).pages("auditlog", **given), limit)
    rows = [each if as_json else {**each, "changes": _changes(each)} for each in found]
    put_rows(rows, COLUMNS, as_json=as_json, empty="Nothing was changed.")


def _changes(entry: dict[str, Any]) -> str:
    before, after = entry["before"], entry["after"]
    return ", ".join(f"{name}: {_told(before, name)} → {_told(after, name)}" for name in {**before, **after})


def _told(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return "none" if value is None else value if isinstance(value, str) else json_text.dump(value)
