"""The parts that wiring connects and hands to the edges as one value."""

from __future__ import annotations

from dataclasses import dataclass

from tollbridge.services.access import Gate
from tollbridge.services.sessions import Sessions
from tollbridge.services.sso import SingleSignOn
from tollbridge.settings import Settings
from tollbridge.store.db import Database
from tollbridge.vault import Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """What a use case may ask for. Edges pass it on; they do not look into `vault`."""

    settings: Settings
    db: Database
    vault: Vault
    gate: Gate
    sessions: Sessions
    sso: SingleSignOn | None
    """None where no provider is set."""
