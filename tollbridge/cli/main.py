"""The command `tollbridge`: a plain list of its commands, and the one place where refusals become exit codes.

Command modules import the database, the network and the web framework inside their functions only: `--help` is fast.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Annotated

import typer

from tollbridge.cli import (
    accounts,
    alerts,
    audit,
    bills,
    credentials,
    db,
    demo,
    doctor,
    events,
    importing,
    init,
    integrations,
    keys,
    listen,
    migrate,
    preview,
    processes,
    redelivery,
    rules,
    runs,
    sending,
    service_users,
    trigger,
    users,
    webhooks,
)
from tollbridge.cli.common import Exit, complain, exit_code
from tollbridge.cli.output import set_quiet
from tollbridge.domain.errors import Refusal

app = typer.Typer(
    name="tollbridge",
    help="Carries every finished bill to the systems that a finance team runs, exactly once.",
    rich_markup_mode=None,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("init")(init.init)
app.command("serve")(processes.serve)
app.command("worker")(processes.worker)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")
app.command("sandbox")(processes.sandbox)
app.command("import")(importing.import_)
app.command("status")(bills.status)
app.add_typer(bills.app, name="bills")
app.command("preview")(preview.preview)
app.add_typer(runs.app, name="runs")
app.add_typer(events.app, name="events")
app.add_typer(rules.app, name="rules")
app.command("trigger")(trigger.trigger)
app.command("listen")(listen.listen)
webhooks.app.add_typer(redelivery.app)
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(alerts.app, name="alerts")
app.add_typer(credentials.app, name="credentials")
app.add_typer(integrations.app, name="integrations")
app.command("pause")(sending.pause)
app.command("resume")(sending.resume)
app.add_typer(users.app, name="users")
app.add_typer(service_users.app, name="service-users")
app.command("audit")(audit.audit)
app.add_typer(accounts.app, name="accounts")

MAP = """\
tollbridge carries every finished bill to the systems that a finance team runs, exactly once.

On this machine
  demo          all of it at once, with a stand-in for Stripe
  init          an organization, its access key and a profile
  serve, worker the API and the Console; what delivers: start as many as you like
  migrate, db   the database; doctor, keys: what is wrong here; keys that seal secrets
  sandbox       a stand-in for a vendor

Over the API, by profile
  import        bills, accounts, products, mappings, events from JSONL, CSV or FOCUS
  status, bills where each bill stands, and the sums; preview: what would be sent
  runs, events  what became of each bill: list, show, watch, replay; what happened
  rules, alerts which events are told to webhooks: create, try; what is wrong now
  webhooks      where notifications go: create, link, verify; listen, trigger
  credentials, integrations  secrets of vendors; what is sent where; pause, resume
  users, service-users       people of the Console; programs with access keys
  audit, accounts            who changed what; erase a person's data

Examples
  tollbridge demo
  tollbridge import bills.jsonl --refused refused.jsonl
  tollbridge runs replay --failed --since 2h
Each command explains itself: tollbridge import --help
"""


@dataclass(slots=True)
class Options:
    """The options before the command, for every command (`ctx.obj`)."""

    debug: bool = False


def _version(asked: bool) -> None:
    if asked:
        import importlib.metadata
        import platform

        typer.echo(f"tollbridge {importlib.metadata.version('tollbridge')} (Python {platform.python_version()})")
        raise typer.Exit


def _end_with_stdin() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


@app.callback()
def options(
    ctx: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing on stderr but errors.")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours, as with NO_COLOR=1.")] = False,
    end_with_stdin: Annotated[
        bool, typer.Option("--end-with-stdin", help="End in order when standard input ends.", hidden=True)
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Keep the options that stand before the command; without a command, show the map."""
    ctx.obj.debug = debug
    set_quiet(quiet)
    if no_color:
        os.environ["NO_COLOR"] = "1"
    if end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    if ctx.invoked_subcommand is None:
        typer.echo(MAP, nl=False)


def run() -> None:
    """Run the command line of this process and exit with its code (see `Exit`)."""
    chosen = Options()
    try:
        # Typer itself answers wrong usage (2), --help and Ctrl-C (130).
        app(prog_name="tollbridge", obj=chosen)
    except Refusal as refusal:
        if chosen.debug:
            raise
        complain(refusal.message, refusal.hint)
        sys.exit(exit_code(refusal))
    except Exception as error:
        if chosen.debug:
            raise
        complain(f"{type(error).__name__}: {error}", "This is a fault of Tollbridge: run it again with --debug.")
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    run()
