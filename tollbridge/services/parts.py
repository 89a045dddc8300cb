"""The parts that wiring connects and hands to the edges as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from tollbridge.services.access import Gate
from tollbridge.services.sessions import Sessions
from tollbridge.services.sso import SingleSignOn
from tollbridge.services.submissions import Submissions
from tollbridge.services.tallies import Counter
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.vault import Vault


class ResolveAllowed(Protocol):
    """Whether webhooks may be sent to the URL: resolves its host, so it is asked before the transaction.

    Raises Invalid that names the address, the reason and the field.
    """

    async def __call__(self, url: str, field: str | None = "url") -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a use case may ask for. Edges pass it on; they do not look into `vault`."""

    settings: Settings
    db: Database
    vault: Vault
    gate: Gate
    resolve_allowed: ResolveAllowed
    submissions: Submissions
    sessions: Sessions
    sso: SingleSignOn | None
    """None where no provider is set."""
    tallies: Counter
