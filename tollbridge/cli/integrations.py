"""`tollbridge integrations`: what is sent to which system and how, over the API."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson
from tollbridge.cli.credentials import Pairs, read_pairs
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.money import plain

app = typer.Typer(help="Integrations: what is sent where.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Id",
    "name": "Name",
    "entityType": "Entity",
    "destination": "System",
    "connectionStatus": "Status",
    "enabled": "Enabled",
}


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
            say(f"Bills here already that could be sent: {waiting['count']} ({_sums(waiting['totals'])}).")
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
def enable(
    integration: Annotated[str, typer.Argument(help="Its id or name.", autocompletion=completing.integrations)],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Enable an integration again; bills that were held meanwhile are sent.

    Example: tollbridge integrations enable Invoices
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "the integration")
    made = client.call("POST", "integrationconfigs", chosen, "enable")
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']} is enabled.")


@app.command()
def send(
    integration: Annotated[str, typer.Argument(help="Its id or name.", autocompletion=completing.integrations)],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Send the bills in its scope that were here before it and were never delivered by it.

    Example: tollbridge integrations send Invoices
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    chosen = id_of(client, "integrationconfigs", "integration", integration, "the integration")
    made = client.call("POST", "integrationconfigs", chosen, "send")
    if as_json:
        put_json(made)
    else:
        put(f"Bills on their way: {made['runs']}")


def _sums(totals: dict[str, Any]) -> str:
    return ", ".join(f"{plain(Decimal(total))} {currency}" for currency, total in sorted(totals.items()))
