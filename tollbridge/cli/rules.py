"""`tollbridge rules`: which events are told to webhooks, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson
from tollbridge.cli.named import id_of
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import Invalid

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

app = typer.Typer(help="Which events are told to webhooks.", rich_markup_mode=None, no_args_is_help=True)

PATH = ("notifications", "configurations")
COLUMNS = {"id": "Id", "code": "Code", "name": "Name", "eventName": "On", "active": "Active"}
FIELDS = ("name", "code", "description", "eventName", "calculation", "alwaysFireEvent", "active")

TheRule = Annotated[str, typer.Argument(help="Its id, code or name.", autocompletion=completing.rules)]
Described = Annotated[str | None, typer.Option(help="What it is for. Default: its name.")]
When = Annotated[
    str | None, typer.Option(help="When it fires: a calculation on the event, such as 'new.billTotal > 1000'.")
]
Always = Annotated[bool | None, typer.Option("--always/--not-always", help="Fire on every event of the type.")]
Active = Annotated[bool | None, typer.Option("--active/--inactive", help="Whether it may fire.")]


@app.command("list")
def list_(
    on: Annotated[str | None, typer.Option(help="Only on this type of events.")] = None,
    active: Active = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List the rules, newest first.

    Example: tollbridge rules list --on billing.bill.created
    """
    from tollbridge.cli.client import Client

    found = Client(read_profile(profile)).pages(*PATH, eventName=on, active=active)
    put_rows(found, COLUMNS, as_json=as_json, empty="There are none. Make one: tollbridge rules create")


@app.command()
def show(rule: TheRule, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Show a rule.

    Example: tollbridge rules show big-bills
    """
    client = _client(profile)
    found = client.get(*PATH, _id(client, rule))
    if as_json:
        put_json(found)
        return
    put(f"{found['name']} ({found['code']}), {'active' if found['active'] else 'inactive'}")
    put(found["description"])
    put(f"on    {found['eventName']}")
    put("when  always" if found["alwaysFireEvent"] else f"when  {found['calculation']}")


@app.command()
def create(
    code: Annotated[str, typer.Argument(help="A short name of your own, once in the organization.")],
    on: Annotated[str, typer.Option(help="The type of events; `tollbridge events types` lists them.")],
    when: When = None,
    always: Always = None,
    name: Annotated[str | None, typer.Option(help="Its name for people. Default: its code.")] = None,
    description: Described = None,
    active: Active = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a rule. It sends nothing before an integration leads from it to a webhook.

    Example: tollbridge rules create big-bills --on billing.bill.created --when 'new.billTotal > 1000'
    """
    given = _given(name=name or code, code=code, description=description or name or code, eventName=on)
    body = given | _given(calculation=when, alwaysFireEvent=always, active=active)
    made = _client(profile).call("POST", *PATH, body=body)
    if as_json:
        put_json(made)
    else:
        put(made["id"])


@app.command()
def update(
    rule: TheRule,
    on: Annotated[str | None, typer.Option(help="Another type of events.")] = None,
    when: When = None,
    always: Always = None,
    code: Annotated[str | None, typer.Option(help="Another code.")] = None,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    description: Annotated[str | None, typer.Option(help="Another description.")] = None,
    active: Active = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Change what is named of a rule; the rest stays.

    Example: tollbridge rules update big-bills --when 'new.billTotal > 5000'
    """
    changes = _given(
        eventName=on,
        calculation=when,
        alwaysFireEvent=always,
        code=code,
        name=name,
        description=description,
        active=active,
    )
    if not changes:
        raise Invalid("rule.nothing", "Nothing is named that should change.", "Name it, such as --when.")
    client = _client(profile)
    present = client.get(*PATH, _id(client, rule))
    kept = {name: present[name] for name in (*FIELDS, "version") if name in present}
    changed = client.call("PUT", *PATH, present["id"], body=kept | changes)
    if as_json:
        put_json(changed)
    else:
        put(f"{changed['id']} is changed.")


@app.command()
def delete(rule: TheRule, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Delete a rule. Refused while integrations lead from it to webhooks.

    Example: tollbridge rules delete big-bills
    """
    client = _client(profile)
    gone = client.call("DELETE", *PATH, _id(client, rule))
    if as_json:
        put_json(gone)
    else:
        put(f"{gone['id']} is deleted.")


@app.command("try")
def try_(
    calculation: Annotated[str, typer.Argument(help="A calculation, such as 'new.billTotal > 1000'.")],
    on: Annotated[str | None, typer.Option(help="Whether it can be read on this type of events.")] = None,
    event: Annotated[str | None, typer.Option(help="Whether it is true of the event with this id.")] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Try a calculation; nothing is sent. Exit code 2 where it is no good.

    Example: tollbridge rules try 'new.billTotal > 1000' --on billing.bill.created
    """
    if (on is None) == (event is None):
        raise Invalid("rule.try", "It needs one of --on and --event.", "Name a type of events, or an event.", "--on")
    body = _given(eventName=on, eventId=event, calculation=calculation)
    trial = _client(profile).call("POST", "notifications", "evaluate", body=body)
    if as_json:
        put_json(trial)
    elif trial["success"]:
        put(
            {None: "It can be read.", True: "It is true: a rule would fire.", False: "It is not true."}[
                trial.get("fires")
            ]
        )
    else:
        say(trial["errorMessage"])
    if not trial["success"]:
        raise typer.Exit(2)


def _client(profile: str) -> Client:
    from tollbridge.cli.client import Client

    return Client(read_profile(profile))


def _id(client: Client, rule: str) -> str:
    return id_of(client, "/".join(PATH), "rule", rule, "the rule")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
