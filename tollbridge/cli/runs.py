"""`tollbridge runs`: what became of each bill, over the API."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, Exit, complain, confirm
from tollbridge.cli.named import id_of
from tollbridge.cli.output import moment, put, put_json, put_rows, say, show_moment
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.cli.timeline import lines_of
from tollbridge.domain.errors import Invalid, Refusal

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

app = typer.Typer(help="What became of each bill.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Run",
    "created": "Made (UTC)",
    "status": "Status",
    "destination": "System",
    "entityId": "Of",
    "externalId": "There",
    "says": "Says",
}
GOOD = frozenset({"delivered", "skipped", "superseded"})
RESTING = GOOD | {"failed", "held", "cancelled"}
"""States in which a run stays as it is until a person acts."""
POLL = 0.5

Since = Annotated[str | None, typer.Option(help="Only runs made in the last so long: 90s, 15m, 2h, 7d.")]
OfIntegration = Annotated[
    str | None,
    typer.Option(
        "--integration", help="Only of this integration: its id or name.", autocompletion=completing.integrations
    ),
]
Failed = Annotated[bool, typer.Option("--failed", help="Only runs that failed and were not made good since.")]


@app.command("list")
def list_(
    failed: Failed = False,
    since: Since = None,
    integration: OfIntegration = None,
    status: Annotated[str | None, typer.Option(help="Only with this status, such as COMPLETE or ERROR.")] = None,
    bill: Annotated[str | None, typer.Option(help="Only of this bill.", autocompletion=completing.bills)] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first.

    Example: tollbridge runs list --failed --since 2h
    """
    client = _client(profile)
    found = _runs(client, since, integration, status=status, entityId=bill, entityType="Bill" if bill else None)
    chosen = list(islice(_failed(found) if failed else found, limit))
    if not as_json:
        for run in chosen:
            run["created"] = show_moment(run.get("dtCreated"))
            run["says"] = run.get("error") or run.get("note")
    put_rows(chosen, COLUMNS, as_json=as_json, empty="There are no such runs.")


@app.command()
def show(
    run: Annotated[
        str, typer.Argument(help="Id of the run, or of a bill: then its latest run.", autocompletion=completing.runs)
    ],
    log: Annotated[bool, typer.Option("--log", help="Show each request and its reply.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Show a run: what it came to, and its steps on a timeline.

    Example: tollbridge runs show 0199… --log
    """
    found = _steps(_client(profile), run)
    if as_json:
        put_json(found)
    else:
        for line in lines_of(found, log=log):
            put(line)


@app.command()
def watch(
    run: Annotated[
        str, typer.Argument(help="Id of the run, or of a bill: then its latest run.", autocompletion=completing.runs)
    ],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Watch a run until it rests. Exit code 0 where it is delivered, 6 where it failed or needs a person.

    Example: tollbridge runs watch 0199…
    """
    client = _client(profile)
    found = _steps(client, run)
    identity = found["run"]["id"]
    shown = 0
    while True:
        if not as_json:
            shown = _draw(found, shown)
        if found["run"]["state"] in RESTING:
            break
        time.sleep(POLL)
        found = _steps(client, identity)
    if as_json:
        put_json(found)
    if found["run"]["state"] not in GOOD:
        complain(found["run"].get("error") or f"The run is {found['run']['state']}.", found["run"].get("hint"))
        raise typer.Exit(Exit.RUN_FAILED)


@app.command()
def replay(
    runs: Annotated[list[str] | None, typer.Argument(help="Ids of runs.", autocompletion=completing.runs)] = None,
    failed: Failed = False,
    since: Since = None,
    integration: OfIntegration = None,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Forget what was decided about bills that changed after they were sent.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Deliver again what runs were to deliver. Each looks first whether it already took effect.

    Example: tollbridge runs replay --failed --since 2h --integration "Invoices"
    """
    if bool(runs) == failed:
        raise typer.BadParameter("give ids of runs, or --failed")
    client = _client(profile)
    found = () if runs else _failed(_runs(client, since, integration))
    # Notifications are not replayed but sent again, all of a webhook at once: `tollbridge webhooks recover`.
    chosen = runs or [run["id"] for run in found if run["flow"] != "notify"]
    if not chosen:
        say("No run failed; nothing is replayed.")
        return
    confirm(f"Replay {len(chosen)} run{'s' if len(chosen) != 1 else ''} of {client.profile.url}?", yes=yes)
    refused = 0
    for identity in chosen:
        try:
            made = client.call(
                "POST", "integrationruns", identity, "replay", body={"askAgain": True} if ask_again else None
            )
        except Refusal as refusal:
            if len(chosen) == 1:
                raise
            refused += 1
            complain(f"{identity}: {refusal.message}", refusal.hint)
            continue
        if as_json:
            put_json(made)
        else:
            put(f"{made['id']}\treplays {identity}\t{made['entityId']}")
    if refused:
        raise typer.Exit(Exit.FAILED)


@app.command()
def decide(
    run: Annotated[
        str, typer.Argument(help="Id of the run, or of a bill: then its latest run.", autocompletion=completing.runs)
    ],
    choose: Annotated[
        str,
        typer.Option(help="void-and-reissue, credit-and-reissue, delta or leave; runs show names what is possible."),
    ],
    money: Annotated[
        str | None, typer.Option(help="Where credited money goes that was paid: balance, refund or out-of-band.")
    ] = None,
    mail: Annotated[bool | None, typer.Option("--mail/--no-mail", help="Whether the customer is mailed again.")] = None,
    note: Annotated[str | None, typer.Option(help="Why, kept with the run.")] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Say what is done about a bill that changed, or was deleted, after it was sent.

    Example: tollbridge runs decide bill-7001 --choose void-and-reissue --no-mail
    """
    client = _client(profile)
    identity = _steps(client, run)["run"]["id"]
    given = {
        "choice": choose.replace("-", "_"),
        "money": money and money.replace("-", "_"),
        "mailCustomer": mail,
        "note": note,
    }
    body = {name: value for name, value in given.items() if value is not None}
    decided = client.call("POST", "integrationruns", identity, "decide", body=body)
    if as_json:
        put_json(decided)
    else:
        put(f"{identity}\t{choose}\t{decided['entityId']}")


def read_duration(text: str) -> timedelta:
    """90s, 15m, 2h or 7d."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise Invalid("option.duration", f"{text!r} is no length of time.", "Write 90s, 15m, 2h or 7d.", "--since")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    return timedelta(seconds=int(match[1]) * seconds)


def _client(profile: str) -> Client:
    from tollbridge.cli.client import Client

    return Client(read_profile(profile))


def _runs(client: Client, since: str | None, integration: str | None, **filters: object) -> Iterator[dict[str, Any]]:
    """Runs, newest first, that were made since then."""
    earliest = datetime.now(UTC) - read_duration(since) if since else None
    chosen = id_of(client, "integrationconfigs", "integration", integration, "--integration") if integration else None
    for run in client.pages("integrationruns", integrationId=chosen, **filters):
        made = moment(run.get("dtCreated"))
        if earliest and made and made < earliest:
            return
        yield run


def _failed(runs: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of runs, newest first, those that failed and are the latest of what they were to deliver."""
    seen: set[tuple[object, ...]] = set()
    for run in runs:
        what = (run.get("integrationId"), run["entityType"], run["entityId"], run.get("messageId"))
        if what not in seen and run["state"] == "failed" and run["entityType"] != "Credential":
            yield run
        seen.add(what)


def _steps(client: Client, identity: str) -> dict[str, Any]:
    """The run with its steps; of a bill the latest run."""
    from tollbridge.domain.errors import NotFound

    try:
        found: dict[str, Any] = client.get("integrationruns", identity, "steps")
    except NotFound as refusal:
        try:
            latest = client.get("integrationruns", "Bill", "latest", identity)
        except NotFound:
            raise refusal from None
        found = client.get("integrationruns", latest["id"], "steps")
    return found


def _draw(found: dict[str, Any], shown: int) -> int:
    """Draw the timeline again over its former self on a terminal; elsewhere say only what is new."""
    lines = lines_of(found, log=False)
    if sys.stdout.isatty():
        if shown:
            typer.echo(f"\033[{shown}A\033[J", nl=False)
        for line in lines:
            put(line)
        return len(lines)
    done = [line for line in lines if line.lstrip()[:1].isdigit()]
    for line in done[shown:]:
        put(line)
    return len(done)
