"""`tollbridge users`: people who use the Console, over the API; and a way in for who owns this machine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollbridge.cli import completing
from tollbridge.cli.common import AsJson, answer, read_settings
from tollbridge.cli.output import put, put_json, put_rows, say
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile
from tollbridge.domain.errors import NotFound
from tollbridge.settings import Settings

if TYPE_CHECKING:
    from tollbridge.cli.client import Client
    from tollbridge.services.users import MadeLink

app = typer.Typer(help="People who use the Console.", rich_markup_mode=None, no_args_is_help=True)

COLUMNS = {
    "id": "Id",
    "email": "Mail",
    "firstName": "First name",
    "lastName": "Last name",
    "role": "Role",
    "accepted": "Accepted",
    "dtEndAccess": "Access ends",
}
SESSION_COLUMNS = {
    "id": "Session",
    "way": "Signed in by",
    "address": "From",
    "agent": "With",
    "dtCreated": "Since",
    "dtLastSeen": "Last here",
}

User = Annotated[str, typer.Argument(help="Mail address or id of the user.", autocompletion=completing.users)]
RoleOption = Annotated[str | None, typer.Option(help="administrator, operator, finance or viewer.")]
EndOption = Annotated[str | None, typer.Option(help="Moment or day on which access ends: 2026-12-31.")]


@app.command("list")
def list_(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """List the users, newest first.

    Example: tollbridge users list
    """
    put_rows(_client(profile).pages("users"), COLUMNS, as_json=as_json, empty="There are no users.")


@app.command()
def invite(
    mail: Annotated[str, typer.Argument(help="Mail address of the person.")],
    first: Annotated[str, typer.Option(help="First name.")],
    last: Annotated[str, typer.Option(help="Last name.")],
    role: RoleOption = None,
    ends: EndOption = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Invite a person: prints the link by which they choose a password, this once. Again: a new link.

    Example: tollbridge users invite jane@acme.example --first Jane --last Roe --role finance
    """
    given = {"email": mail, "firstName": first, "lastName": last, "role": role, "dtEndAccess": ends}
    body = {name: value for name, value in given.items() if value is not None}
    made = _client(profile).call("POST", "invitations", body=body)
    answer(made["link"], made, as_json=as_json)
    say(f"Send this link to {mail}; it works once, until {made['dtExpiry']}.")


@app.command()
def update(
    user: User,
    role: RoleOption = None,
    ends: EndOption = None,
    stays: Annotated[bool, typer.Option("--stays", help="Lift an end of access.")] = False,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Give a user another role, or end their access.

    Example: tollbridge users update jane@acme.example --role operator
    """
    client = _client(profile)
    body: dict[str, Any] = {} if role is None else {"role": role}
    if ends is not None or stays:
        body["dtEndAccess"] = None if stays else ends
    put_rows([client.call("PUT", "users", _id_of(client, user), body=body)], COLUMNS, as_json=as_json, empty="")


@app.command()
def delete(user: User, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Delete a user and sign them out everywhere. The audit log keeps what they did.

    Example: tollbridge users delete jane@acme.example
    """
    client = _client(profile)
    done = client.call("DELETE", "users", _id_of(client, user))
    answer(f"{done['email']} is no user any more.", done, as_json=as_json)


@app.command()
def reset(user: User, profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Print a link by which a user sets a new password, this once.

    Example: tollbridge users reset jane@acme.example
    """
    client = _client(profile)
    made = client.call("PUT", "users", _id_of(client, user), "password", "resend")
    answer(made["link"], made, as_json=as_json)
    say(f"It works once, until {made['dtExpiry']}.")


@app.command()
def sessions(
    user: User,
    end: Annotated[str | None, typer.Option(help="End the session with this id, or all of them: all.")] = None,
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """List where a user is signed in, or sign them out.

    Example: tollbridge users sessions jane@acme.example --end all
    """
    client = _client(profile)
    id = _id_of(client, user)
    if end is None:
        found = client.get("users", id, "sessions")["data"]
        put_rows(found, SESSION_COLUMNS, as_json=as_json, empty="The user is signed in nowhere.")
        return
    done = client.call("DELETE", "users", id, "sessions", *([] if end == "all" else [end]))
    if as_json:
        put_json(done)
    else:
        put(f"Sessions ended: {done['ended']}")


@app.command("sign-in-link")
def sign_in_link(
    mail: Annotated[str, typer.Argument(help="Mail address of the user.")], as_json: AsJson = False
) -> None:
    """Print a link that signs a user in, once, within ten minutes. For who owns this machine: it asks the database
    itself, and works where passwords are switched off or the provider of single sign-on is away.

    Example: tollbridge users sign-in-link jane@acme.example
    """
    made = asyncio.run(_sign_in_link(read_settings(), mail))
    told = {"link": made.url, "dtExpiry": made.expires_at.isoformat(timespec="seconds"), "userId": made.user.id}
    answer(made.url, told, as_json=as_json)


async def link_for_a_new_person(settings: Settings, org_id: str, url: str) -> str:
    """A link by which a new administrator of the organization signs in at this address, once."""
    from tollbridge.domain.access import Role
    from tollbridge.domain.people import Purpose
    from tollbridge.services import users
    from tollbridge.services.caller import Caller
    from tollbridge.store.db import open_database

    person = {"email": "you@demo.example", "firstName": "Demo", "lastName": "User", "role": Role.ADMINISTRATOR.value}
    caller = Caller(org_id, "SYSTEM")
    async with open_database(settings) as db:
        user = await users.create(db, caller, person)
        made = await users.make_link(db, replace(settings, public_url=url), caller, user.id, Purpose.SIGN_IN)
    return made.url


async def _sign_in_link(settings: Settings, mail: str) -> MadeLink:
    from tollbridge.domain.people import Purpose
    from tollbridge.services import users
    from tollbridge.services.caller import Caller
    from tollbridge.store.db import open_database
    from tollbridge.store.migrate import require_usable

    async with open_database(settings) as db:
        await require_usable(db.dsn)
        user = await users.by_mail(db, mail)
        if user is None:
            raise NotFound(
                "user.not_found", f"There is no user with the mail address {mail}.", "Invite: tollbridge users invite"
            )
        return await users.make_link(db, settings, Caller(user.org_id, "SYSTEM"), user.id, Purpose.SIGN_IN)


def _client(profile: str) -> Client:
    from tollbridge.cli.client import Client

    return Client(read_profile(profile))


def _id_of(client: Client, text: str) -> str:
    """The id of the user with this mail address; whatever has no @ is an id."""
    if "@" not in text:
        return text
    found = [each["id"] for each in client.pages("users") if each["email"] == text.lower()]
    if not found:
        raise NotFound(
            "user.not_found", f"There is no user with the mail address {text}.", "See: tollbridge users list"
        )
    return str(found[0])
