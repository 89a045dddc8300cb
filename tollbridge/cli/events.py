"""`tollbridge events`: what happened that somebody may want to know, over the API."""

from __future__ import annotations

import csv
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli.common import AsJson, Exit, confirm
from tollbridge.cli.output import in_brackets, put, put_json, put_rows, say, show_moment
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

POLL = 0.5
"""Seconds between two looks at how far a mending is."""

app = typer.Typer(help="What happened, as rules see it.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {"id": "Event", "happened": "When (UTC)", "eventName": "Type", "resourceId": "Of", "message": "Says"}
GROUP_COLUMNS = {
    "latestEventId": "Latest event",
    "eventName": "Type",
    "code": "Code",
    "open": "Not actioned",
    "count": "Events",
    "failedRuns": "Failed runs",
    "heldRuns": "Held runs",
    "message": "Says",
}


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Option("--type", help="Only of this type, such as billing.bill.created.")] = None,
    category: Annotated[
        str | None, typer.Option(help="Only of this category, such as IntegrationEvent or Notification.")
    ] = None,
    account: Annotated[str | None, typer.Option(help="Only about this account.")] = None,
    of: Annotated[str | None, typer.Option(help="Only about the entity with this id.")] = None,
    actioned: Annotated[bool, typer.Option("--actioned", help="Also those marked as actioned.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List events, newest first by when they came in.

    Example: tollbridge events list --category IntegrationEvent
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.pages(
        "events", eventName=name, eventType=category, accountId=account, resourceId=of, includeActioned=actioned
    )
    chosen = list(islice(found, limit))
    if not as_json:
        for event in chosen:
            event["happened"] = show_moment(event["eventTime"])
            event["message"] = event["m3terEvent"]["eventData"].get("newDto", {}).get("message")
    put_rows(chosen, COLUMNS, as_json=as_json, empty="There are no such events.")


@app.command()
def show(
    event: Annotated[str, typer.Argument(help="Id of the event.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show an event, with what stands and what stood.

    Example: tollbridge events show 0199…
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).get("events", event)
    if as_json:
        put_json(found)
        return
    say(f"{found['eventName']} at {show_moment(found['eventTime'])}")
    put(json_text.dump(found["m3terEvent"]["eventData"], indent=2))


@app.command()
def groups(
    integration: Annotated[str | None, typer.Option(help="Only of this integration, by its id.")] = None,
    actioned: Annotated[bool, typer.Option("--actioned", help="Also those marked as actioned.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List error events by cause, the one seen last first; each by its latest event.

    Example: tollbridge events groups
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).pages(
        "events", "groups", integrationConfigId=integration, includeActioned=actioned
    )
    chosen = list(islice(found, limit))
    put_rows(chosen, GROUP_COLUMNS, as_json=as_json, empty="There are no error events that nobody saw to.")


@app.command()
def mark(
    event: Annotated[str, typer.Argument(help="Id of the event.")],
    group: Annotated[bool, typer.Option("--group", help="It and all of its cause that came in until now.")] = False,
    not_actioned: Annotated[bool, typer.Option("--not-actioned", help="Take the mark of the one event back.")] = False,
    note: Annotated[str, typer.Option(help="What was done; it goes into the audit log.")] = "",
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Mark an error event as actioned, alone or with all of its cause.

    Example: tollbridge events mark 0199… --group --note "Mapped by finance"
    """
    from tollbridge.cli.client import Client

    if group and not_actioned:
        raise typer.BadParameter("A group can be marked as actioned only. Leave out --group or --not-actioned.")
    client = Client(read_profile(profile))
    if group:
        made = client.call("POST", "events", event, "group", "mark", body={"note": note})
        told = f"Marked as actioned: {made['marked']}"
    else:
        made = client.call("POST", "events", event, "mark", body={"actioned": not not_actioned, "note": note})
        told = f"{event} is marked as {'not ' if not_actioned else ''}actioned."
    if as_json:
        put_json(made)
    else:
        put(told)


@app.command()
def mend(
    event: Annotated[str, typer.Argument(help="Id of an error event; all of its cause is mended.")],
    mappings: Annotated[
        Path | None, typer.Option(help="A CSV file with the columns m3terId and externalId: what is missing.")
    ] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Also map what has one match by e-mail address or name; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Mend all of one cause: write mappings, enable the integration, send what failed and was held; show how far it is.

    Ctrl-C ends only the display; tollbridge events mending --stop the sending. Exit code 0 where all is delivered, 6
    where some still fail, are held, or it was stopped.

    With --suggest the system is asked for customers with the same e-mail address or name; only what matches one alone
    is suggested, and nothing is mapped before you say so.

    Example: tollbridge events mend 0199… --mappings customers.csv
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.get("events", event, "group")
    given = read_mappings(mappings) if mappings else []
    if suggest:
        mapped = {each["m3terId"] for each in given}
        given += [each for each in _accepted(client, event, yes=yes) if each["m3terId"] not in mapped]
    if not yes:
        lacking = f", {len(found['unmapped'])} lack a mapping in {found['missing']}" if found["unmapped"] else ""
        say(f"{found['failedRuns']} failed, {found['heldRuns']} are held{lacking}; {len(given)} mappings are given.")
    count = found["failedRuns"] + found["heldRuns"]
    enabling = "" if found["enabled"] else " The integration is enabled."
    confirm(f"Send {count}{in_brackets(found['totals'])}?{enabling}", yes=yes)
    begun = client.call("POST", "events", event, "group", "mend", body={"mappings": given} if given else {})
    _follow(client, begun, wait=not detach, as_json=as_json)


def _accepted(client: Client, event: str, *, yes: bool) -> list[dict[str, str]]:
    """The suggestions for the group, each shown with its evidence, where the person accepts them all."""
    found = client.get("events", event, "group", "suggestions")
    while "suggestions" not in found:
        time.sleep(POLL)
        found = client.get("events", event, "group", "suggestions", runId=found["runId"])
    suggested = found["suggestions"]
    for each in suggested:
        say(
            f"  {each['m3terId']} ({each['name']}) is {each['externalId']} ({each['externalName']}): {each['evidence']}"
        )
    say(f"{found['compared']} were looked for, {len(suggested)} have one match.")
    if suggested and not yes:
        confirm(f"Map these {len(suggested)}?", yes=False)
    return [{name: each[name] for name in ("m3terId", "externalId")} for each in suggested]


@app.command()
def mending(
    id: Annotated[str, typer.Argument(help="Id of a mending.")],
    stop: Annotated[bool, typer.Option("--stop", help="Send no more; what is left stays held.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show how far a mending is until it is over, or stop it.

    Example: tollbridge events mending 0199… --stop
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.call("POST", "events", "mendings", id, "stop") if stop else client.get("events", "mendings", id)
    _follow(client, found, wait=not stop, as_json=as_json)


def _follow(client: Client, found: dict[str, Any], *, wait: bool, as_json: bool) -> None:
    """Show a line for each change until it is over; fails where not all is delivered in the end."""
    shown = ""
    while True:
        line = f"{found['state']}\t{found['delivered']} of {found['total']} delivered, {found['left']} left"
        line += f"\tover at about {show_moment(found['eta'])} UTC" if "eta" in found else ""
        if not as_json and line != shown:
            shown = line
            put(line)
        if not wait or found["state"] != "sending":
            break
        time.sleep(POLL)
        found = client.get("events", "mendings", found["id"])
    if as_json:
        put_json(found)
    if found["state"] == "sending":
        say(f"hint: tollbridge events mending {found['id']}")
        return
    say(found.get("note") or "")
    for each in found["failing"]:
        say(f"  {each['count']} × {each['code']}, such as run {each['runId']}: {each['message']}")
    if found["state"] != "done" or found["failed"] or found["held"]:
        raise typer.Exit(Exit.RUN_FAILED)


def read_mappings(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file; those without an external id are left out."""
    try:
        rows = list(csv.DictReader(file.read_text("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound("mending.file", f"{file} cannot be read: {error}.", "Name a CSV file in UTF-8.") from error
    if rows and not {"m3terId", "externalId"} <= rows[0].keys():
        raise Invalid(
            "mending.columns", f"{file} has not the columns m3terId and externalId.", "Name them in its first line."
        )
    return [
        {name: row[name].strip() for name in ("m3terId", "externalId")}
        for row in rows
        if row["externalId"] and row["m3terId"]
    ]


@app.command()
def submit(
    file: Annotated[str, typer.Argument(help="A file with one event as JSON, or - for standard input.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Submit one event under an id of your own: however often it comes, it counts once.

    Example: tollbridge events submit event.json

    The file holds {"id": …, "eventName": …, "new": {…}}, and may have old, eventTime, accountId and resourceId. Many
    at once: tollbridge import --kind events
    """
    from tollbridge.cli.client import Client

    kept = Client(read_profile(profile)).call("POST", "events", body=_read(file))
    if as_json:
        put_json(kept)
    else:
        put(f"{kept['id']}\t{kept['outcome']}")


@app.command()
def types(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the types of events on which rules can be, and who raises them.

    Example: tollbridge events types
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).get("events", "types")
    if as_json:
        put_json(found)
        return
    others = set(found["onlyIfSubmitted"])
    rows = [{"name": name, "raised": "only if submitted" if name in others else ""} for name in found["events"]]
    put_rows(rows, {"name": "Type", "raised": "Raised"}, as_json=False, empty="There are none.")


@app.command()
def fields(
    name: Annotated[str, typer.Argument(help="The type, such as billing.bill.updated.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List what rules can read of events of a type.

    Example: tollbridge events fields billing.bill.updated
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).get("events", "fields", eventName=name)["events"][name]
    if as_json:
        put_json(found)
        return
    rows = [{"field": field, "kind": kind} for field, kind in found.items()]
    put_rows(rows, {"field": "Field", "kind": "Kind"}, as_json=False, empty="There are none.")


def _read(file: str) -> Any:
    try:
        return json_text.parse(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise NotFound(
            "event.file", f"{file} cannot be read: {error.strerror}.", "Name a file, or - for standard input."
        ) from error
    except ValueError as error:
        raise Invalid("event.json", f"{file} is not JSON: {error}.", "Write one JSON object in UTF-8.") from error
