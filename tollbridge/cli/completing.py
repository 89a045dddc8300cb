"""What the shell offers for ids and names: asked of the server, where a profile leads to one.

Somebody waits at every keystroke: a server that does not answer at once, or refuses, means that nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import typer

from tollbridge.cli.profiles import DEFAULT, read_profile
from tollbridge.domain.errors import Refusal

if TYPE_CHECKING:
    from tollbridge.cli.client import Client

PATIENCE = 2.0
OFFERED = 50

Offers: TypeAlias = list[tuple[str, str]]
"""Each with what it is, which some shells show."""


def runs(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids of the latest runs, and of their bills."""
    return _offer(ctx, incomplete, _runs)


def integrations(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids and names of integrations."""
    return _offer(ctx, incomplete, lambda client: _named(client, "integrationconfigs"))


def credentials(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids and names of credentials."""
    return _offer(ctx, incomplete, lambda client: _named(client, "integrationcredentials"))


def webhooks(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids and names of webhooks."""
    return _offer(ctx, incomplete, lambda client: _named(client, "integrationdestinations/webhooks"))


def rules(ctx: typer.Context, incomplete: str) -> Offers:
    """Codes of rules."""
    return _offer(
        ctx,
        incomplete,
        lambda client: ((each["code"], each["name"]) for each in client.pages("notifications", "configurations")),
    )


def service_users(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids of service users."""
    return _offer(ctx, incomplete, lambda client: ((each["id"], each["name"]) for each in client.pages("serviceusers")))


def alerts(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids of the latest alerts."""
    return _offer(
        ctx, incomplete, lambda client: ((each["id"], each["description"]) for each in client.pages("alerts"))
    )


def users(ctx: typer.Context, incomplete: str) -> Offers:
    """Mail addresses of users."""
    return _offer(ctx, incomplete, lambda client: ((each["email"], each["role"]) for each in client.pages("users")))


def accounts(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids of accounts."""
    return _offer(ctx, incomplete, lambda client: ((each["id"], each["name"]) for each in client.pages("accounts")))


def bills(ctx: typer.Context, incomplete: str) -> Offers:
    """Ids of the latest bills."""
    return _offer(ctx, incomplete, lambda client: ((each["id"], each["accountId"]) for each in client.pages("bills")))


def _offer(ctx: typer.Context, incomplete: str, ask: Callable[[Client], Iterator[tuple[str, str]]]) -> Offers:
    from tollbridge.cli.client import Client

    try:
        client = Client(read_profile(ctx.params.get("profile") or DEFAULT), PATIENCE)
        return list(islice((each for each in ask(client) if each[0].startswith(incomplete)), OFFERED))
    except (Refusal, KeyError, OSError):
        return []


def _runs(client: Client) -> Iterator[tuple[str, str]]:
    for run in islice(client.pages("integrationruns"), OFFERED):
        yield run["id"], f"{run['entityId']} {run['status']}"
        if run["entityType"] == "Bill":
            yield run["entityId"], run["status"]


def _named(client: Client, collection: str) -> Iterator[tuple[str, str]]:
    for each in client.pages(*collection.split("/")):
        name = str(each.get("name") or "")
        yield each["id"], name
        # Shells take words apart at spaces.
        if name and not any(map(str.isspace, name)):
            yield name, str(each.get("destination") or "")
