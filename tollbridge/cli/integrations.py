"""`tollbridge integrations`: what is sent to which system and how, over the API."""

from __future__ import annotations

from typing import Annotated

import typer

from tollbridge.cli.common import AsJson
from tollbridge.cli.credentials import Pairs, read_pairs
from tollbridge.cli.output import put, put_json, put_rows
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile

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
    credential: Annotated[str | None, typer.Option(help="Id of the credential to use.")] = None,
    entity: Annotated[str, typer.Option(help="What to send.")] = "Bill",
    options: Pairs = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make an integration. Options that --set does not name keep their defaults.

    Example: tollbridge integrations create --system stripe-test --name Invoices --credential ID --set finish=finalise
    """
    from tollbridge.cli.client import Client

    body = {
        "destination": system,
        "entityType": entity,
        "name": name,
        "configData": read_pairs(options),
        **({"integrationCredentialsId": credential} if credential else {}),
    }
    made = Client(read_profile(profile)).call("POST", "integrationconfigs", body=body)
    if as_json:
        put_json(made)
    else:
        put(made["id"])


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
    integration: Annotated[str, typer.Argument(help="Id of the integration.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Enable an integration again; bills that were held meanwhile are sent.

    Example: tollbridge integrations enable 0199…
    """
    from tollbridge.cli.client import Client

    made = Client(read_profile(profile)).call("POST", "integrationconfigs", integration, "enable")
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']} is enabled.")
