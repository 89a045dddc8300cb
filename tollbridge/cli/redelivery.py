"""Those of `tollbridge webhooks` that send once more: a test, one again, what failed, what is missing, everything."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Exit, complain
from tollbridge.cli.output import put, put_json, say, show_moment
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.cli.runs import POLL, read_duration
from tollbridge.cli.webhooks import HOOKS, Hook, webhook_id
from tollbridge.domain.errors import NotFound
from tollbridge.domain.fields import read_instant

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

app = typer.Typer()

UNDER_WAY = frozenset({"testing", "gathering", "delivering"})

Since = Annotated[
    str, typer.Option(help="From when on: so long ago as 90s, 15m, 2h or 7d, or a moment as 2026-11-01T12:00:00Z.")
]


@app.command("test")
def send_test(webhook: Hook, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Send a webhook a signed message of no event, whatever stands.

    Example: tollbridge webhooks test "ERP hook"
    """
    client = _client(profile)
    _show_run(client.call("POST", *HOOKS, webhook_id(client, webhook), "test"), as_json=as_json)


@app.command()
def resend(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.", autocompletion=completing.runs)],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Send one notification again that was delivered or failed. Its webhook-id stays the same.

    Example: tollbridge webhooks resend 0199…
    """
    _show_run(_client(profile).call("POST", "integrationruns", run, "resend"), as_json=as_json)


@app.command()
def recover(webhook: Hook, since: Since, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Send again what failed since then and was not sent again yet, oldest first.

    Example: tollbridge webhooks recover "ERP hook" --since 6h
    """
    made = _send_since(profile, webhook, "recover", since)
    _show_count(made, "sent again", as_json=as_json)


@app.command()
def replay_missing(webhook: Hook, since: Since, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Send what never was sent: events since then on which a linked rule fires now, and that have no run.

    Example: tollbridge webhooks replay-missing "ERP hook" --since 7d
    """
    made = _send_since(profile, webhook, "replaymissing", since)
    _show_count(made, "sent for the first time", as_json=as_json)


@app.command()
def bring_back(
    webhook: Hook,
    stop: Annotated[bool, typer.Option("--stop", help="Send no more; what is left stays held.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Bring a webhook back whose receiver was down, and show how far it is: a test, then all that failed or was held.

    Enables the webhook and every integration on it. A failure holds the rest; the same command goes on with it.
    Ctrl-C ends only the display, --stop the sending. Exit code 0 where all is delivered, 6 where it is paused or
    stopped.

    Example: tollbridge webhooks bring-back "ERP hook"
    """
    client = _client(profile)
    path = (*HOOKS, webhook_id(client, webhook), "bringback")
    if stop:
        progress = client.call("POST", *path, "stop")
    else:
        progress = _follow(client, path, _begin(client, path), quiet=as_json)
    if as_json:
        put_json(progress)
    elif stop:
        put(_line(progress))
    if progress["state"] != "done" and not stop:
        complain(progress.get("note") or f"It is {progress['state']}.", "The same command goes on with what is left.")
        raise typer.Exit(Exit.RUN_FAILED)


def _begin(client: Client, path: tuple[str, ...]) -> dict[str, Any]:
    """Start it, unless it is under way."""
    try:
        present: dict[str, Any] = client.get(*path)
    except NotFound:
        present = {"state": "none"}
    if present["state"] not in UNDER_WAY:
        present = client.call("POST", *path)
    return present


def _follow(client: Client, path: tuple[str, ...], progress: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Show it until it comes to an end: one line that changes on a terminal, elsewhere a line for each change."""
    shown = ""
    while True:
        line = _line(progress)
        if not quiet and line != shown:
            shown = line
            typer.echo(f"\r\033[K{line}" if sys.stdout.isatty() else line, nl=not sys.stdout.isatty())
        if progress["state"] not in UNDER_WAY:
            break
        time.sleep(POLL)
        progress = client.get(*path)
    if not quiet and sys.stdout.isatty():
        put("")
    return progress


def _line(progress: dict[str, Any]) -> str:
    told = f"{progress['state']}\t{progress['delivered']} of {progress['total']} delivered, {progress['left']} left"
    return told + (f"\tover at about {show_moment(progress['eta'])} UTC" if "eta" in progress else "")


def _send_since(profile: str, webhook: str, verb: str, since: str) -> dict[str, Any]:
    moment = read_instant(since) or datetime.now(UTC) - read_duration(since)
    client = _client(profile)
    made: dict[str, Any] = client.call(
        "POST", *HOOKS, webhook_id(client, webhook), verb, body={"since": moment.isoformat()}
    )
    return made


def _show_run(run: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        put_json(run)
        return
    put(f"{run['id']}\t{run['status']}")
    say(f"hint: tollbridge runs watch {run['id']}")


def _show_count(made: dict[str, Any], done: str, *, as_json: bool) -> None:
    if as_json:
        put_json(made)
    else:
        put(f"{made['runs']} notification{'' if made['runs'] == 1 else 's'} {done}.")


def _client(profile: str) -> Client:
    from tollbridge.cli.client import Client

    return Client(read_profile(profile))
