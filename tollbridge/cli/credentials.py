"""`tollbridge credentials`: keys of the vendors, over the API. A secret comes from a prompt, standard input or the
environment, never from an argument, which would stay in the shell's history."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Exit, complain
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid

app = typer.Typer(help="Credentials of the vendors.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Id",
    "name": "Name",
    "destination": "System",
    "status": "Status",
    "tenantName": "Tenant",
    "error": "Error",
}

Pairs = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A further field that is no secret; repeatable.")
]


@app.command()
def create(
    system: Annotated[str, typer.Option(help="The system that it opens, such as stripe-test.")],
    name: Annotated[str, typer.Option(help="Your name for it.")],
    secret_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the secret. Default: ask, or read stdin."),
    ] = None,
    fields: Pairs = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Keep a credential and check it with a harmless call. Needs a running worker; exit code 1 where it does not work.

    Example: tollbridge credentials create --system stripe-test --name "Stripe, trial"
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    body: dict[str, Any] = {"destination": system, "name": name, **read_pairs(fields)}
    body[secret_field(client, system)] = read_secret(secret_env)
    made = client.call("POST", "integrationcredentials", body=body)
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']}\t{made['status']}\t{made.get('tenantName') or ''}")
    if "authorizeUrl" in made:
        if not as_json:
            put(f"Open this address where you are signed in to the Console, and approve: {made['authorizeUrl']}")
        return
    if made["status"] != "VALID":
        hint = f"See: tollbridge runs show {made['checkRunId']}" if made.get("checkRunId") else None
        complain(made.get("error") or "It could not be checked yet.", hint)
        raise typer.Exit(Exit.FAILED)


@app.command("list")
def list_(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the credentials, newest first.

    Example: tollbridge credentials list
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).pages("integrationcredentials")
    put_rows(found, COLUMNS, as_json=as_json, empty="There are no credentials. Make one: tollbridge credentials create")


@app.command()
def tenant(
    credential: Annotated[str, typer.Argument(help="Its id or name.", autocompletion=completing.credentials)],
    chosen: Annotated[str | None, typer.Argument(help="Id of the tenant; without it what there is is listed.")] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Choose what a credential opens, where a person's consent at the vendor opens several.

    Example: tollbridge credentials tenant Books 7b1c…
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    id = id_of(client, "integrationcredentials", "credential", credential, "the credential")
    if chosen is None:
        offered = client.get("integrationcredentials", id).get("tenants") or []
        put_rows(offered, {"id": "Id", "label": "Called"}, as_json=as_json, empty="It waits for no choice of a tenant.")
        return
    made = client.call("POST", "integrationcredentials", id, "tenant", body={"tenantId": chosen})
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']}\t{made['status']}\t{made.get('tenantName') or ''}")
    if made["status"] != "VALID":
        complain(made.get("error") or "It is still being checked.", f"See: tollbridge runs show {made['checkRunId']}")
        raise typer.Exit(Exit.FAILED)


def secret_field(client: Any, system: str) -> str:
    """The name of the system's secret field, as the server's catalogue has it."""
    found = client.get("integrationconfigs", "available", systemName=system)
    for entity in found["supportedEntities"].values():
        for destination in entity["destinations"]:
            for option in destination["authConfigOptions"]:
                if option["secret"]:
                    return str(option["name"])
    raise Invalid("credential.no_secret", f"A credential for {system} has no secret.", field="--system")


def read_pairs(given: list[str] | None) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is JSON (true, 30, ["a"]) is taken as such, any other as text."""
    from tollbridge.domain import json_text

    values: dict[str, Any] = {}
    for pair in given or []:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise Invalid("option.pair", f"{pair!r} is not NAME=VALUE.", "Write, for example, finish=send.", "--set")
        try:
            values[name] = json_text.parse(text)
        except ValueError:
            values[name] = text
    return values


def read_secret(variable: str | None) -> str:
    """A secret from that environment variable, or else from a prompt or the first line of standard input."""
    if variable is not None:
        secret = os.environ.get(variable, "")
        if not secret:
            raise Invalid(
                "secret.empty", f"{variable} is not set.", "Set it, or leave --secret-env out.", "--secret-env"
            )
        return secret
    if sys.stdin.isatty():
        return str(typer.prompt("Secret", hide_input=True, err=True))
    secret = sys.stdin.readline().strip()
    if not secret:
        raise Invalid("secret.empty", "There is no secret on standard input.", "Pipe it in, or use --secret-env NAME.")
    return secret
