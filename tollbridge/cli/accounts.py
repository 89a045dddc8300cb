"""`tollbridge accounts`: what is done about whole accounts, over the API."""

from __future__ import annotations

from typing import Annotated

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, confirm
from tollbridge.cli.output import put, put_json, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile

app = typer.Typer(help="Accounts, whom bills are for.", rich_markup_mode=None, no_args_is_help=True)


@app.command()
def erase(
    account: Annotated[str, typer.Argument(help="Id of the account.", autocompletion=completing.accounts)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Make a person's data unrecognisable for good: the account, its bills, and what the run log kept of them.

    Ids, dates and figures stay. What was not sent yet is cancelled. Nothing is changed in other systems; the answer
    names what the person is called there.

    Example: tollbridge accounts erase acme --yes
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    confirm(f"Erase the data of account {account} at {client.profile.url}? It cannot be undone.", yes=yes)
    done = client.call("POST", "accounts", account, "erase")
    if as_json:
        put_json(done)
        return
    for table, count in done["touched"].items():
        put(f"{table}\t{count}")
    for each in done["elsewhere"]:
        say(f"Still known to {each['system']}: {each['table']} {each['id']}. Erase it there.")
