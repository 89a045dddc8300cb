"""A look at the whole installation: what is well, what is not, and what to do about it. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tollbridge.domain.alerts import Alert, Severity
from tollbridge.domain.errors import Refusal
from tollbridge.services import clock, metrics, watching
from tollbridge.services.metrics import Standing
from tollbridge.services.sealing import credential_row
from tollbridge.settings import Settings
from tollbridge.store import inspection, migrate, sealed
from tollbridge.store.db import Database
from tollbridge.store.inspection import CredentialStanding, DisabledIntegration
from tollbridge.vault import Vault

LONGEST_SKEW = timedelta(seconds=2)
"""Between our clock and the database's: leases and waits are compared with ours."""
LONGEST_QUEUE = timedelta(minutes=1)
"""A run that may start waits a moment; one that waits longer than this finds no worker."""

LONGEST_LETTER = timedelta(minutes=5)
"""From a failure to its mail."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: whether it is well, what was found, and what to do where it is not."""

    name: str
    ok: bool
    text: str
    remedy: str | None = None


async def examine(db: Database, vault: Vault | None, version: str, settings: Settings) -> list[Finding]:
    """All findings; `vault` is None where there is no key yet, `version` is this release's."""
    async with db.hot() as connection:
        asked = clock.now()
        server, theirs = await inspection.server(connection)
        answered = clock.now()
    findings = [Finding("database", True, f"PostgreSQL {server} answers."), judge_clock(asked, theirs, answered)]
    try:
        schema = await migrate.require_usable(db.dsn)
    except Refusal as refusal:
        return [*findings, Finding("schema", False, refusal.message, refusal.hint)]
    findings.append(judge_schema(schema))
    async with db.hot() as connection:
        secrets = await sealed.all_secrets(connection)
        credentials = await inspection.credentials(connection)
        disabled = await inspection.disabled(connection)
    standing = await metrics.standing(db, clock.now())
    return [
        *findings,
        judge_key(vault, secrets),
        judge_workers(standing, version),
        judge_queue(standing),
        judge_outbox(standing),
        *map(judge_credential, credentials),
        *judge_expiry(await watching.expiring(db, clock.now())),
        *judge_integrations(disabled),
        *judge_sources(await watching.silent_sources(db, settings, clock.now())),
    ]


def judge_clock(asked: datetime, theirs: datetime, answered: datetime) -> Finding:
    """Whether the database's clock agrees with ours, which was read before and after."""
    skew = max(asked - theirs, theirs - answered, timedelta())
    if skew <= LONGEST_SKEW:
        return Finding("clock", True, "The clock agrees with the database's.")
    return Finding(
        "clock",
        False,
        f"The clock differs from the database's by {skew.total_seconds():.1f} s.",
        "Let both machines set their clocks by NTP.",
    )


def judge_schema(state: migrate.SchemaState) -> Finding:
    """Whose schema it is that this release works on."""
    if state.standing is migrate.Standing.AHEAD:
        return Finding("schema", True, f"The schema is of a later release ({state.found}); this one works on it.")
    return Finding("schema", True, "The schema is the one of this release.")


def judge_key(vault: Vault | None, secrets: Sequence[sealed.SealedSecrets]) -> Finding:
    """Whether the key that is here opens what is sealed; `vault` is None where there is none."""
    if vault is None:
        if not secrets:
            return Finding("key", True, "There is no key yet; it is made when it is first needed.")
        return Finding(
            "key",
            False,
            f"There is no key, but {len(secrets)} credentials are sealed with one.",
            "Set TOLLBRIDGE_KEY, or put the key file back into the home folder.",
        )
    closed: list[Refusal] = []
    for each in secrets:
        try:
            vault.open(each.secrets, credential_row(each.id))
        except Refusal as refusal:
            closed.append(refusal)
    if closed:
        return Finding(
            "key",
            False,
            f"{len(closed)} of {len(secrets)} stored secrets cannot be opened. {closed[0].message}",
            closed[0].hint,
        )
    return Finding("key", True, f"The key {vault.current.hex()} is there; all {len(secrets)} stored secrets open.")


def judge_workers(standing: Standing, version: str) -> Finding:
    """Whether workers are alive, all of this release."""
    if not standing.workers:
        return Finding("workers", False, "No worker is alive.", "Start one: tollbridge worker")
    told = ", ".join(f"{count} of version {each}" for each, count in sorted(standing.workers.items()))
    if set(standing.workers) != {version}:
        return Finding("workers", False, f"Workers: {told}; this is {version}.", "Start all workers on one version.")
    return Finding("workers", True, f"Workers: {told}.")


def judge_queue(standing: Standing) -> Finding:
    """Whether runs that may start do start."""
    text = f"{standing.due} runs may start now"
    if not standing.due:
        return Finding("queue", True, f"{text}.")
    told = f"{text}; the oldest for {standing.queue_age:.0f} s."
    if standing.queue_age <= LONGEST_QUEUE.total_seconds():
        return Finding("queue", True, told)
    return Finding("queue", False, told, "Start more workers, or see in their logs what holds them up.")


def judge_outbox(standing: Standing) -> Finding:
    """Whether mails and messages about alerts go out."""
    letters = standing.outbox
    text = f"{letters.waiting} letters about alerts wait"
    if letters.refused:
        text = f"{letters.refused} letters about alerts were given up in the last day: {letters.refusal}"
        return Finding("outbox", False, f"{text}.", "Correct the addresses, or what the mail server refuses.")
    if standing.letter_age <= LONGEST_LETTER.total_seconds():
        return Finding("outbox", True, f"{text}.")
    trouble = f": {letters.trouble}" if letters.trouble else ""
    return Finding(
        "outbox",
        False,
        f"{text}, the oldest for {standing.letter_age:.0f} s{trouble}.",
        "See that the mail server, or the chat, answers this machine; try it: tollbridge alerts test-mail",
    )


def judge_credential(credential: CredentialStanding) -> Finding:
    """Whether its last use or check said that it works."""
    checked = f", checked {credential.checked_at:%Y-%m-%d %H:%M} UTC" if credential.checked_at else ""
    text = f"{credential.name} ({credential.system}, {credential.org_id}/{credential.id}) is {credential.status}"
    name = f"credential {credential.id}"
    if credential.status == "VALID":
        return Finding(name, True, f"{text}{checked}.")
    return Finding(
        name,
        False,
        f"{text}{checked}: {credential.error or 'it was never checked'}",
        "Save the credential again with a secret that works, while a worker runs.",
    )


def judge_expiry(expiring: Sequence[Alert]) -> list[Finding]:
    """Credentials that end within two weeks, or have; wrong from a week before."""
    if not expiring:
        return [Finding("expiry", True, "No credential is known to expire soon.")]
    return [
        Finding(f"expiry {each.credential_id}", each.severity is Severity.INFO, each.description, each.remedy)
        for each in expiring
    ]


def judge_integrations(disabled: Sequence[DisabledIntegration]) -> list[Finding]:
    """Integrations that are disabled, whoever did it."""
    if not disabled:
        return [Finding("integrations", True, "No integration is disabled.")]
    return [
        Finding(
            f"integration {each.id}",
            False,
            f"{each.name} ({each.org_id}/{each.id}) is disabled, {each.held} runs are held: "
            f"{(each.reason or 'no reason was given').rstrip('.')}.",
            f"Mend that, then: tollbridge integrations enable {each.id}",
        )
        for each in disabled
    ]


def judge_sources(silent: Sequence[Alert]) -> list[Finding]:
    """Organizations whose source is silent against its own rhythm."""
    if not silent:
        return [Finding("sources", True, "No source of bills is silent for longer than usual.")]
    return [Finding(f"source {each.org_id}", False, each.description, each.remedy) for each in silent]
