"""`tollbridge integrations`: what is sent to which system and how, over the API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer
from click import Choice

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, confirm
from tollbridge.cli.credentials import Pairs, read_pairs
from tollbridge.cli.named import id_of
from tollbridge.cli.output import in_brackets, put, put_json, put_rows, say, show_moment, sums
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.money import plain
from tollbridge.domain.runs import HeldChoice

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

app = typer.Typer(help="Integrations: what is sent where.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Id",
    "name": "Name",
    "entityType": "Entity",
    "destination": "System",
    "connectionStatus": "Status",
    "enabled": "Enabled",
}


Named = Annotated[str, typer.Argument(help="Its id or name.", autocompletion=completing.integrations)]


@app.command()
def create(
    system: Annotated[str, typer.Option(help="Where to send, such as stripe-test.")],
    name: Annotated[str, typer.Option(help="Your name for it.")],
    credential: Annotated[
        str | None, typer.Option(help="The credential to use: its id or name.", autocompletion=completing.credentials)
    ] = None,
    entity: Annotated[str, typer.Option(help="What to send.")] = "Bill",
    options: Pairs = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make an integration. Options that --set does not name keep their defaults.

    Example: tollbridge integrations create --system stripe-test --name Invoices --credential Trial --set finish=send
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    opens = id_of(client, "integrationcredentials", "credential", credential, "--credential") if credential else None
    body = {
        "destination": system,
        "entityType": entity,
        "name": name,
        "configData": read_pairs(options),
        **({"integrationCredentialsId": opens} if opens else {}),
    }
    made = client.call("POST", "integrationconfigs", body=body)
    if as_json:
        put_json(made)
    else:
        put(made["id"])
        waiting = made.get("billsInScope", {})
        if waiting.get("count"):
            say(f"Bills here already that could be sent: {waiting['count']} ({sums(waiting['totals'])}).")
            say(f"hint: tollbridge integrations send {made['id']}")
        if waiting.get("undecidedAccounts"):
            say(f"Accounts for which the account filter comes to nothing: {waiting['undecidedAccounts']}.")
            say("hint: tollbridge bills list --state held tells why")


@app.command("list")
def list_(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the integrations, newest first.

    Example: tollbridge integrations list
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).pages("integrationconfigs")
    put_rows(found, COLUMNS, as_json=as_json, empty="There are none. Make one: tollbridge integrations create")


@app.command()
def show(
    integration: Named,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show an integration: how it stands, its errors in succession, and what is held.

    Example: tollbridge integrations show Invoices
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.call("GET", "integrationconfigs", _chosen(client, integration))
    if as_json:
        put_json(found)
        return
    for name, value in _facts(found):
        put(f"{name + ':':<18}{value}")
    _say_errors(found)


def _facts(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Id", found["id"]
    yield "Name", found["name"]
    yield "Sends", f"{found['entityType']} to {found['destination']}"
    yield "Status", found["connectionStatus"]
    if found.get("disabledReason"):
        yield "Disabled", found["disabledReason"]
    rule = f"{found['errorsInARow']} of {found['disableAfter']}" if found["disableAfter"] else "never disabled by them"
    yield "Errors in a row", rule
    held = found["heldRuns"]
    yield "Held", f"{held['count']}{in_brackets(held['totals'])}"


def _say_errors(found: dict[str, Any]) -> None:
    errors = found["errorEvents"]
    if errors["count"]:
        say(f"Error events that are not marked as actioned: {errors['count']}, the latest:")
    for event in errors["latest"]:
        run, at = event.get("runId"), show_moment(event["eventTime"])
        say(f"  {at}  {event.get('code')}  run {run}: {event.get('message')}")


@app.command()
def disable(
    integration: Named,
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it disabled.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Disable an integration: what is not under way, and whatever arrives, is held until it is enabled.

    Example: tollbridge integrations disable Invoices --reason "Closing the books"
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    made = client.call("POST", "integrationconfigs", _chosen(client, integration), "disable", body={"reason": reason})
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']} is disabled.")


@app.command()
def enable(
    integration: Named,
    held: Annotated[
        HeldChoice | None, typer.Option(help="What becomes of what was held: send it in order, or drop it.")
    ] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Enable an integration again, after a look at its errors; what was held meanwhile is sent, or dropped.

    What is dropped is cancelled; it stays visible and can still be sent: tollbridge integrations send

    Example: tollbridge integrations enable Invoices --held send
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = _chosen(client, integration)
    if held is None:
        found = client.call("GET", "integrationconfigs", chosen)
        _say_errors(found)
        held = _ask(found["heldRuns"]) if found["heldRuns"]["count"] else HeldChoice.SEND
    made = client.call("POST", "integrationconfigs", chosen, "enable", body={"held": held})
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']} is enabled.")


def _ask(held: dict[str, Any]) -> HeldChoice:
    """What becomes of what is held; refused where nobody can be asked."""
    question = f"Held since it was disabled: {held['count']}{in_brackets(held['totals'])}."
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{question} Say what becomes of it: --held send or --held drop")
    say(question)
    return HeldChoice(typer.prompt("Send it in order, or drop it?", type=Choice(list(HeldChoice)), err=True))


@app.command()
def choices(
    system: Annotated[str, typer.Argument(help="The system that is asked, such as stripe-test.")],
    kind: Annotated[str, typer.Argument(help="What is looked for there, such as Customer or TaxRate.")],
    words: Annotated[str, typer.Argument(help="Words in its name; without them the latest.")] = "",
    credential: Annotated[
        str | None, typer.Option(help="Ask with this one: its id or name.", autocompletion=completing.credentials)
    ] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Look up ids in a system, for options and mappings. A worker asks it live; nothing is changed.

    Example: tollbridge integrations choices stripe-test Customer acme
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    opens = id_of(client, "integrationcredentials", "credential", credential, "--credential") if credential else None
    found = client.get("integrationconfigs", "choices", system, kind, search=words, integrationCredentialsId=opens)
    if as_json:
        put_json(found)
        return
    put_rows(found["choices"], {"id": "Id", "label": "Called"}, as_json=False, empty="There are none with these words.")
    if found["more"]:
        say("There are more: name more words.")


@app.command("continue")
def continue_(
    integration: Named,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Send on after a look at what was sent first, or at a month that is much larger than the last.

    Example: tollbridge integrations continue Invoices
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = _chosen(client, integration)
    if not yes:
        found = client.call("GET", "integrationconfigs", chosen, "continue")
        _say_waiting(found)
        held = found["heldRuns"]
        confirm(f"Send on, with the {held['count']} held{in_brackets(held['totals'])}?", yes=False)
    made = client.call("POST", "integrationconfigs", chosen, "continue")
    if as_json:
        put_json(made)
    else:
        put(f"Runs on their way: {made['released']}")


def _say_waiting(found: dict[str, Any]) -> None:
    """What there is to look at before an integration is continued."""
    if found.get("firstSends"):
        say(f"Sent first are {found['firstSends']}, then it waits.")
    for month in found["months"]:
        say(f"{month['reason']}.")
    sent = found["sent"]
    say(f"Sent: {sent['count']}, delivered of them: {sent['delivered']}{in_brackets(sent['totals'])}")
    for each in sent["latest"]:
        total = f"{plain(Decimal(each['total']))} {each['currency']}" if "total" in each else ""
        where = each.get("url") or each.get("externalId") or f"run {each['runId']}"
        say(f"  {each['billId']}  {each['state']}  {total}  {where}")


@app.command()
def send(
    integration: Named,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Send the bills in its scope that were here before it and were never delivered by it.

    Example: tollbridge integrations send Invoices
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    made = client.call("POST", "integrationconfigs", _chosen(client, integration), "send")
    if as_json:
        put_json(made)
    else:
        put(f"Bills on their way: {made['runs']}")


def _chosen(client: Client, integration: str) -> str:
    return id_of(client, "integrationconfigs", "integration", integration, "the integration")
