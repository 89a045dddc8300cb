"""`tollbridge demo`: the main job, from an empty folder to invoices in a vendor's books, all on this machine."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from tollbridge.cli.common import AsJson, Exit
from tollbridge.cli.output import say
from tollbridge.cli.profiles import Profile


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit when all bills are through, instead of going on.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine, deliver a month of bills to a stand-in for Stripe, and show how.

    A rule also tells a receiver on this machine of every bill over 1,000, by a signed webhook. Nothing outside this
    machine is reached, and nothing is kept: it can be run again and again. With --once the exit code is 0 if, and only
    if, every bill and every message arrived as it should; one bill is made to fail on purpose.

    Example: tollbridge demo
    """
    from tollbridge.cli import demo_stage as stage
    from tollbridge.cli.demo_books import audit
    from tollbridge.cli.demo_receiver import receiving
    from tollbridge.cli.fleet import Ended, fleet, uninterrupted
    from tollbridge.cli.init import make_organization
    from tollbridge.cli.users import link_for_a_new_person

    began = time.monotonic()
    try:
        with fleet() as (ships, settings), receiving() as receiver:
            say("Starting database, API, worker, a stand-in for Stripe and a receiver of webhooks …")
            with uninterrupted():
                made = asyncio.run(make_organization(settings, "Demo"))
            scene = stage.set_up(ships, Profile("", made.org_id, made.key_id, made.secret), receiver)
            bills = stage.import_month(scene)
            runs = stage.follow(scene, ships, len(bills), quiet=as_json)
            told_of = stage.follow_messages(scene, ships, bills)
            outcome = audit(bills, stage.books(scene), told_of, time.monotonic() - began)
            stage.report(scene, runs, outcome, as_json=as_json)
            if not once:
                link = asyncio.run(link_for_a_new_person(settings, made.org_id, scene.client.profile.url))
                stage.stay(scene, ships, link)
    except Ended:
        raise typer.Exit(Exit.INTERRUPTED) from None
    if not outcome.expected:
        raise typer.Exit(Exit.FAILED)
