"""`tollbridge trigger`: make an example event that goes the way of every event, and see what it causes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollbridge.cli.common import AsJson
from tollbridge.cli.credentials import read_pairs
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid
from tollbridge.domain.fields import did_you_mean

OURS = "integration."
"""Events that tell what a run met: nobody but that run raises them."""


def trigger(
    name: Annotated[str | None, typer.Argument(metavar="TYPE", help="Type of the event.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of new or old, such as new.billTotal; repeatable."),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the types that there are.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make an example event of a type. Rules fire on it and webhooks get it as any other.

    Example: tollbridge trigger billing.bill.created --set new.billTotal=12.50
    """
    from datetime import UTC, datetime

    from tollbridge.cli.client import Client
    from tollbridge.domain.event_examples import example_of
    from tollbridge.services.clock import new_id

    client = Client(read_profile(profile))
    if list_:
        found = [{"name": each} for each in client.get("events", "types")["events"] if not each.startswith(OURS)]
        put_rows(found, {"name": "Type"}, as_json=as_json, empty="There are none.")
        return
    if name is None:
        raise Invalid("trigger.type", "No type is named.", "tollbridge trigger --list shows all.", "TYPE")
    known = client.get("events", "fields", eventName=name)["events"][name]
    id = f"example-{new_id()}"
    body = example_of(known, id, datetime.now(UTC))
    for path, value in read_pairs(fields).items():
        _set(body, path, value, list(known))
    event = client.call("POST", "events", body={"id": id, "eventName": name, **body})
    runs = list(client.pages("integrationruns", eventId=event["id"], order="ASC"))
    if as_json:
        put_json({"event": event, "runs": runs})
        return
    put(f"{event['id']}\t{name}")
    for run in runs:
        put(f"{run['id']}\t{run['status']}\trule {run['entityId']} to webhook {run.get('destinationId', '')}")
    if runs:
        say(f"hint: tollbridge runs watch {runs[0]['id']}")
    elif event.get("notificationCodes"):
        say(f"Rules fired, but lead to no webhook: {', '.join(event['notificationCodes'])}.")
    else:
        say("No rule fired on it.")


def _set(body: dict[str, dict[str, Any]], path: str, value: Any, known: list[str]) -> None:
    """Set a field of the example; inside customFields and other maps any name goes."""
    side, _, rest = path.partition(".")
    first, *inner = rest.split(".")
    if f"{side}.{first}" not in known:
        raise Invalid(
            "trigger.field",
            f"{path} is no field of this type.",
            did_you_mean(f"{side}.{first}", known) or "tollbridge events fields TYPE lists them.",
            "--set",
        )
    place: Any = body[side]
    for part in (first, *inner)[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise Invalid("trigger.field", f"{path} leads through {part}, which is no object.", None, "--set")
    place[inner[-1] if inner else first] = value
