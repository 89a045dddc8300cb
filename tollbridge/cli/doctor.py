"""`tollbridge doctor`: look at everything on this machine and behind its database, and say what to do."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from tollbridge.cli.common import AsJson, Exit, read_settings
from tollbridge.cli.output import put, put_json
from tollbridge.settings import Settings

if TYPE_CHECKING:
    from tollbridge.services.checkup import Finding


def doctor(as_json: AsJson = False) -> None:
    """Look at database, schema, clock, key, workers, queue, mail, credentials, integrations, sources. Exit code 1 where
    something is wrong.

    Changes nothing. One line for each: ✓ or ✗, what was found, and what to do about it.

    Example: tollbridge doctor
    """
    findings = asyncio.run(_examine(read_settings()))
    well = all(each.ok for each in findings)
    if as_json:
        put_json({"ok": well, "checks": [asdict(each) for each in findings]})
    else:
        for each in findings:
            remedy = f" → {each.remedy}" if each.remedy else ""
            put(f"{'✓' if each.ok else '✗'} {each.name}: {each.text}{remedy}")
    if not well:
        raise typer.Exit(Exit.FAILED)


async def _examine(settings: Settings) -> list[Finding]:
    from importlib.metadata import version

    from tollbridge.domain.errors import Refusal
    from tollbridge.services.checkup import Finding, examine
    from tollbridge.services.systems import check_settings
    from tollbridge.store.db import connected
    from tollbridge.vault import open_present

    try:
        check_settings(settings)
        vault = open_present(settings)
        async with connected(_dsn(settings)) as db:
            return [*await examine(db, vault, version("tollbridge"), settings), await _mail(settings)]
    except Refusal as refusal:
        return [Finding(refusal.code.partition(".")[0].replace("vault", "key"), False, refusal.message, refusal.hint)]


async def _mail(settings: Settings) -> Finding:
    """Whether the mail server lets us in, and links can lead back here."""
    from tollbridge.outbound.mail import Mailer
    from tollbridge.services.checkup import Finding

    if not settings.smtp_url:
        told = "; a chat is told of alerts" if settings.alert_webhook else ", so nobody is told of alerts"
        return Finding("mail", True, f"No mail server is configured (TOLLBRIDGE_SMTP_URL){told}.")
    mailer = Mailer(settings)
    failed = await mailer.probe()
    where = f"{mailer.host}, port {mailer.port}"
    if failed is not None:
        return Finding("mail", False, f"{where}: {failed.reason}.", "Correct TOLLBRIDGE_SMTP_URL, or mend that server.")
    if not settings.public_url:
        return Finding("mail", True, f"{where} lets us in. Mails have no links: TOLLBRIDGE_PUBLIC_URL is not set.")
    return Finding("mail", True, f"{where} lets us in.")


def _dsn(settings: Settings) -> str:
    """Where the database is; raises Unavailable where the embedded one does not run: a look starts nothing."""
    from tollbridge.domain.errors import Unavailable
    from tollbridge.store import embedded
    from tollbridge.store.db import checked_url

    if settings.database_url:
        return checked_url(settings.database_url)
    found = embedded.status(settings)
    if not found.dsn:
        raise Unavailable(
            "database.stopped",
            f"The embedded database in {found.folder} is {found.state}.",
            "It starts with whatever needs it: tollbridge init the first time, then tollbridge serve and worker.",
        )
    return found.dsn
