"""`tollbridge init`: an organization and its first access key in this machine's database, and a profile to use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from tollbridge.cli.common import AsJson, answer, read_settings
from tollbridge.cli.profiles import DEFAULT, Profile, ProfileOption, check_free, write_profile
from tollbridge.settings import Settings

if TYPE_CHECKING:
    from tollbridge.services.organizations import NewOrganization


def init(
    name: Annotated[str, typer.Option("--name", help="Name of the organization.")] = "My organization",
    org_id: Annotated[str | None, typer.Option("--id", help="Id of the organization. Default: a new one.")] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Address of the server. Default: where serve listens.")
    ] = None,
    profile: ProfileOption = DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Replace the profile if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an organization with an access key, and keep both as a profile for the other commands.

    Example: tollbridge init --name "Acme Billing"
    """
    settings = read_settings()
    check_free(profile, replace=force)
    made = asyncio.run(make_organization(settings, name, org_id))
    address = url or settings.local_url
    file = write_profile(profile, Profile(address, made.org_id, made.key_id, made.secret), replace=force)
    answer(
        f"Organization  {made.org_id} ({made.name})\n"
        f"Access key    {made.key_id}\n"
        f"Profile       {profile} in {file}, with the secret, for {address}\n"
        "Next: tollbridge serve, and in another terminal tollbridge worker\n"
        "For the Console: tollbridge users invite you@example.com --first … --last … --role administrator",
        {"profile": profile, "file": str(file), "url": address, "orgId": made.org_id, "accessKey": made.key_id},
        as_json=as_json,
    )


async def make_organization(settings: Settings, name: str, org_id: str | None = None) -> NewOrganization:
    """Make it in the database of the settings; the embedded one is migrated first, any other must be current."""
    from tollbridge.services import organizations
    from tollbridge.store import migrate
    from tollbridge.store.db import open_database

    async with open_database(settings) as db:
        if settings.database_url:
            await migrate.require_usable(db.dsn)
        else:
            await migrate.migrate(db.dsn)
        return await organizations.create(db, name, org_id)
