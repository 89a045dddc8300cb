"""`tollbridge service-users`: programs that use the API, what they may do and their access keys, over the API."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson
from tollbridge.cli.output import put, put_json, put_rows
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile

app = typer.Typer(help="Programs that use the API, and their access keys.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {"id": "Id", "name": "Name", "role": "Role", "dtCreated": "Made"}
KEY_COLUMNS = {"id": "Key", "active": "Active", "dtCreated": "Made"}

User = Annotated[str, typer.Argument(help="Id of the service user.", autocompletion=completing.service_users)]


@app.command("list")
def list_(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the service users, newest first.

    Example: tollbridge service-users list
    """
    from tollbridge.cli.client import Client

    put_rows(
        Client(read_profile(profile)).pages("serviceusers"),
        COLUMNS,
        as_json=as_json,
        empty="There are no service users.",
    )


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Your name for it.")],
    role: Annotated[str, typer.Option(help="administrator, operator, finance, viewer or source.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a service user with an access key. The secret is shown this once.

    Example: tollbridge service-users create --name "Billing platform" --role source
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    made = client.call("POST", "serviceusers", body={"name": name, "role": role})
    _show_key(client.call("POST", "serviceusers", made["id"], "accesskeys"), as_json=as_json)


@app.command()
def keys(user: User, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the access keys of a service user.

    Example: tollbridge service-users keys 0199…
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).get("serviceusers", user, "accesskeys")["data"]
    put_rows(
        found, KEY_COLUMNS, as_json=as_json, empty="It has no access key. Make one: tollbridge service-users add-key"
    )


@app.command()
def add_key(user: User, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Make another access key for a service user. The secret is shown this once.

    Example: tollbridge service-users add-key 0199…
    """
    from tollbridge.cli.client import Client

    _show_key(Client(read_profile(profile)).call("POST", "serviceusers", user, "accesskeys"), as_json=as_json)


@app.command()
def deactivate(
    user: User,
    key: Annotated[str | None, typer.Option(help="Only this access key. Default: all that the user has.")] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Keep a service user out: its access keys stop working within seconds.

    Example: tollbridge service-users deactivate 0199…
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    found = client.get("serviceusers", user, "accesskeys")["data"]
    for each in [key] if key else [each["id"] for each in found if each["active"]]:
        done = client.call("POST", "serviceusers", user, "accesskeys", each, "deactivate")
        if as_json:
            put_json(done)
        else:
            put(f"{each} is not active any more.")


def _show_key(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json(made)
    else:
        put(f"Service user  {made['serviceUserId']}\nAccess key    {made['apiKey']}\nSecret        {made['apiSecret']}")
