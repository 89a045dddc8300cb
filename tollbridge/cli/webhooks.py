"""`tollbridge webhooks`: where notifications go, over the API; and whether a message that came in is what it claims.

A secret comes from a prompt, standard input, a file or the environment, never from an argument, which would stay in the
shell's history.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Exit, complain
from tollbridge.cli.credentials import Pairs, read_pairs, read_secret
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid, NotFound

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

app = typer.Typer(help="Webhooks: where notifications go.", rich_markup_mode=None, no_args_is_help=True)

HOOKS = ("integrationdestinations", "webhooks")
RULES = "notifications/configurations"
TYPE = "M3TER_SIGNED_REQUEST"
COLUMNS = {"id": "Id", "name": "Name", "code": "Code", "url": "URL", "active": "Active", "downSince": "Down since"}

Hook = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Its id, name or code.", autocompletion=completing.webhooks)
]
Rule = Annotated[
    str, typer.Argument(metavar="RULE", help="Id, name or code of the rule.", autocompletion=completing.rules)
]
SecretEnv = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Environment variable with the secret. Default: ask, or read stdin."),
]
SecretFile = Annotated[Path | None, typer.Option(metavar="FILE", help="File with the secret.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="schedule, ordered, concurrency, perSecond or goneDeactivates."),
]


@app.command("list")
def list_(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the webhooks, newest first.

    Example: tollbridge webhooks list
    """
    found = _client(profile).pages(*HOOKS)
    put_rows(found, COLUMNS, as_json=as_json, empty="There are no webhooks. Make one: tollbridge webhooks create")


@app.command()
def show(webhook: Hook, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Show a webhook, the rules that lead to it, and its deliveries of the last 24 hours.

    Example: tollbridge webhooks show "ERP hook"
    """
    client = _client(profile)
    found = client.get(*HOOKS, webhook_id(client, webhook))
    found["health"] = client.get(*HOOKS, found["id"], "health")
    found["links"] = [
        {"id": link["id"], "rule": link["entityId"], "name": link["name"], "status": link["connectionStatus"]}
        for link in client.pages("integrationconfigs", destinationId=found["id"])
    ]
    if as_json:
        put_json(found)
        return
    health = found["health"]
    at_once = "ordered" if found["ordered"] else f"{found['concurrency']} at once"
    told = {
        "Id": found["id"],
        "Name": f"{found['name']} ({found['code']})",
        "URL": found["url"],
        "Active": "yes" if found["active"] else "no",
        "Delivery": f"{found['schedule']}, {at_once}",
        "24 hours": f"{health['delivered']} delivered, {health['failed']} failed, {health['pending']} pending",
        "Down since": health.get("downSince", ""),
        "Old secret": found["credentials"].get("previousSecretUntil", ""),
    }
    for name, value in told.items():
        if value:
            put(f"{name:12}{value}")
    for link in found["links"]:
        put(f"{'Rule':12}{link['rule']}\t{link['name']}\t{link['status']}")


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Your name for it.")],
    url: Annotated[str, typer.Option(help="Where messages are sent, such as https://erp.example.com/hooks.")],
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    code: Annotated[str | None, typer.Option(help="A short name. Default: made from the name.")] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with what the header webhook-api-key says."),
    ] = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a secret, and show it this once.")] = False,
    options: Options = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a webhook. Nothing is sent to it until a rule is linked to it.

    Example: tollbridge webhooks create --name "ERP hook" --url https://erp.example.com/hooks --generate
    """
    client = _client(profile)
    secret = new_secret() if generate else _secret(secret_env, secret_file)
    api_key = read_secret(api_key_env) if api_key_env else _new_key()
    body = {
        "name": name,
        "url": url,
        "description": description or name,
        **({"code": code} if code else {}),
        "credentials": {"type": TYPE, "apiKey": api_key, "secret": secret},
        **read_pairs(options),
    }
    made = client.call("POST", *HOOKS, body=body)
    if as_json:
        put_json(made | ({"secret": secret} if generate else {}) | ({} if api_key_env else {"apiKey": api_key}))
        return
    put(made["id"])
    if generate:
        put(f"Secret   {secret}")
    if not api_key_env:
        put(f"API key  {api_key}")
    say(f"hint: tollbridge webhooks link RULE {made['code']}")


@app.command()
def update(
    webhook: Hook,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    description: Annotated[str | None, typer.Option(help="Another description.")] = None,
    code: Annotated[str | None, typer.Option(help="Another code.")] = None,
    options: Options = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Change what is named; everything else stays. An option set to null has its default again.

    Example: tollbridge webhooks update "ERP hook" --set schedule=patient --set perSecond=50
    """
    given = {"name": name, "url": url, "description": description, "code": code}
    change = {key: value for key, value in given.items() if value is not None} | read_pairs(options)
    if not change:
        raise Invalid("webhook.nothing", "There is nothing to change.", "Name something, such as --url.", "--url")
    _show(_change(_client(profile), webhook, change), "is changed.", as_json=as_json)


@app.command()
def rotate_secret(
    webhook: Hook,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    generate: Annotated[bool, typer.Option("--generate", help="Make a secret, and show it this once.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a webhook another secret. For 24 hours messages carry the signatures of both.

    Example: tollbridge webhooks rotate-secret "ERP hook" --generate
    """
    client = _client(profile)
    secret = new_secret() if generate else _secret(secret_env, secret_file)
    before = client.get(*HOOKS, webhook_id(client, webhook))["credentials"]
    made = _change(client, webhook, {"credentials": {"type": TYPE, "secret": secret}})
    if as_json:
        put_json(made | ({"secret": secret} if generate else {}))
        return
    if generate:
        put(f"Secret  {secret}")
    if made["credentials"]["version"] == before["version"]:
        say("It is the secret that was there already.")
    else:
        say(f"The secret before it signs too until {made['credentials']['previousSecretUntil']}.")


@app.command()
def activate(webhook: Hook, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Send to a webhook again, beginning with what was held.

    Example: tollbridge webhooks activate "ERP hook"
    """
    _show(_set_active(profile, webhook, True), "is active.", as_json=as_json)


@app.command()
def deactivate(webhook: Hook, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Hold what would be sent to a webhook.

    Example: tollbridge webhooks deactivate "ERP hook"
    """
    _show(_set_active(profile, webhook, False), "is not active; notifications are held.", as_json=as_json)


@app.command()
def delete(
    webhook: Hook,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Delete a webhook with its secret. Refused while rules are linked to it.

    Example: tollbridge webhooks delete "ERP hook"
    """
    client = _client(profile)
    chosen = webhook_id(client, webhook)
    if not yes:
        if not sys.stdin.isatty():
            raise Invalid("confirm.needed", "Nobody can be asked.", "Say --yes to delete it without asking.", "--yes")
        typer.confirm(f"Delete the webhook {webhook}?", abort=True, err=True)
    _show(client.call("DELETE", *HOOKS, chosen), "is deleted.", as_json=as_json)


@app.command()
def link(
    rule: Rule,
    webhook: Hook,
    name: Annotated[str | None, typer.Option(help="Your name for the link.")] = None,
    options: Pairs = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Let a rule send to a webhook.

    Example: tollbridge webhooks link LARGE_BILLS "ERP hook"
    """
    client = _client(profile)
    body = {
        "entityType": "Notification",
        "entityId": _rule(client, rule),
        "destination": "Webhook",
        "destinationId": webhook_id(client, webhook),
        "name": name or f"{rule} to {webhook}",
        "configData": read_pairs(options),
    }
    _show(client.call("POST", "integrationconfigs", body=body), "links them.", as_json=as_json)


@app.command()
def unlink(rule: Rule, webhook: Hook, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Let a rule no longer send to a webhook; what it has not sent yet is cancelled.

    Example: tollbridge webhooks unlink LARGE_BILLS "ERP hook"
    """
    client = _client(profile)
    found = client.get(
        *("integrationconfigs", "entity", "Notification"),
        destination="Webhook",
        destinationId=webhook_id(client, webhook),
        entityId=_rule(client, rule),
    )
    _show(
        client.call("DELETE", "integrationconfigs", found["id"]),
        "is deleted: they are linked no more.",
        as_json=as_json,
    )


@app.command()
def verify(
    payload: Annotated[str, typer.Argument(metavar="FILE", help="The body as it came in, byte for byte; - for stdin.")],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="NAME:VALUE", help="One of its headers; repeatable."),
    ] = None,
    headers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File with its headers: lines of NAME: VALUE, or a JSON object.")
    ] = None,
    secret_env: SecretEnv = None,
    secret_file: SecretFile = None,
    any_time: Annotated[bool, typer.Option("--any-time", help="Do not mind when it was signed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say whether the secret signed a message that came in; exit code 1 where it did not. Needs no server.

    Example: tollbridge webhooks verify body.json --headers headers.txt --secret-env HOOK_SECRET --any-time
    """
    from datetime import UTC, datetime

    from tollbridge.connectors.webhook.signature import TOLERANCE, complaint

    body = _bytes(payload)
    if payload == "-" and secret_env is None and secret_file is None:
        raise Invalid(
            "secret.empty", "Standard input holds the body.", "Give the secret with --secret-env or --secret-file.", "-"
        )
    given = _headers(header or [], headers)
    secret = _secret(secret_env, secret_file)
    why = complaint(secret, given, body, datetime.now(UTC), None if any_time else TOLERANCE)
    if as_json:
        put_json({"verified": why is None, "reason": why})
    elif why is None:
        put("The secret signed it.")
    if why is not None:
        if not as_json:
            complain(why, "Compare byte for byte: a body that was parsed and written again is another one.")
        raise typer.Exit(Exit.FAILED)


def _client(profile: str) -> Client:
    from tollbridge.cli.client import Client

    return Client(read_profile(profile))


def webhook_id(client: Client, text: str) -> str:
    """The id of the one with this id, name or code; raises Invalid unless it is exactly one."""
    return id_of(client, "/".join(HOOKS), "webhook", text, "WEBHOOK")


def _rule(client: Client, text: str) -> str:
    return id_of(client, RULES, "rule", text, "RULE")


def _change(client: Client, webhook: str, change: dict[str, Any]) -> Any:
    """Put back what is there with a change. What another has changed meanwhile is refused by its version."""
    present = client.get(*HOOKS, webhook_id(client, webhook))
    return client.call("PUT", *HOOKS, present["id"], body=present | change)


def _set_active(profile: str, webhook: str, active: bool) -> Any:
    client = _client(profile)
    return client.call("PUT", *HOOKS, webhook_id(client, webhook), "active", query={"active": active})


def _show(made: dict[str, Any], words: str, *, as_json: bool) -> None:
    if as_json:
        put_json(made)
    else:
        put(f"{made['id']} {words}")


def _secret(variable: str | None, file: Path | None) -> str:
    if file is None:
        return read_secret(variable)
    secret = _bytes(str(file)).decode("utf-8", "replace").strip()
    if not secret:
        raise Invalid("secret.empty", f"{file} is empty.", "Put the secret into it.", "--secret-file")
    return secret


def new_secret() -> str:
    """A fresh secret in the form of the Standard Webhooks specification."""
    import base64
    import secrets

    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _new_key() -> str:
    import secrets

    return secrets.token_urlsafe(16)


def _headers(given: list[str], file: Path | None) -> dict[str, str]:
    """The headers by their names in lower case; those that are given go before those of the file."""
    from tollbridge.domain import json_text

    text = _bytes(str(file)).decode("utf-8", "replace") if file else ""
    pairs: list[tuple[str, str]] = []
    if text.lstrip().startswith("{"):
        try:
            pairs += [(name, str(value)) for name, value in json_text.parse(text).items()]
        except ValueError as error:
            raise Invalid("headers.json", f"{file} is not JSON: {error}.", None, "--headers") from error
    else:
        pairs += [(name, value) for name, colon, value in (line.partition(":") for line in text.splitlines()) if colon]
    for each in given:
        name, colon, value = each.partition(":")
        if not colon:
            raise Invalid("headers.pair", f"{each!r} is not NAME:VALUE.", "Write webhook-id:msg_1.", "--header")
        pairs.append((name, value))
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise NotFound("file.unreadable", f"{file} cannot be read: {error.strerror}.", "Name another file.") from error
