"""What became of one entity that came in, alone or as a line of a bulk import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tollbridge.domain.errors import Refusal
from tollbridge.services.dispatch import Decision


@dataclass(frozen=True, slots=True)
class Put:
    """It stands now as it came in; `decisions` say what follows for each integration."""

    id: str
    outcome: Literal["created", "updated", "unchanged"]
    decisions: Sequence[Decision] = ()


Taken = Put | Refusal
