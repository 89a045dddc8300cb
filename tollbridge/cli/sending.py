"""`tollbridge pause` and `tollbridge resume`: all sending of an organization, over the API."""

from __future__ import annotations

from typing import Annotated

import typer

from tollbridge.cli.common import AsJson
from tollbridge.cli.output import put, put_json
from tollbridge.cli.profiles import DEFAULT, ProfileOption, read_profile


def pause(
    reason: Annotated[str, typer.Option(help="Why, for whoever finds it paused.")],
    profile: ProfileOption = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Pause all sending: what is under way ends, everything else is held, bills and notifications alike.

    Example: tollbridge pause --reason "The books are being closed"
    """
    from tollbridge.cli.client import Client

    told = Client(read_profile(profile)).call("POST", "sending", "pause", body={"reason": reason})
    if as_json:
        put_json(told)
    else:
        put("All sending is paused.")


def resume(profile: ProfileOption = DEFAULT, as_json: AsJson = False) -> None:
    """Resume sending, beginning with what was held meanwhile.

    Example: tollbridge resume
    """
    from tollbridge.cli.client import Client

    client = Client(read_profile(profile))
    held = client.get("sending")["heldRuns"]
    told = client.call("POST", "sending", "resume")
    if as_json:
        put_json(told)
    else:
        put(f"Sending goes on, with {held} that were held.")
