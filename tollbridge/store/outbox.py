"""The outbox: what is to be told of alerts, written in the transaction of their change, and links to new passwords;
sent by whoever claims it.

A notice (`channel` NOTICE) names nobody yet; it becomes one letter for each who is told. A letter is claimed by a
growing fence, as runs are: who lost it can no longer say what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tollbridge.domain import json_text
from tollbridge.store.db import Connection


class Channel(StrEnum):
    """How it goes out."""

    NOTICE = "notice"
    MAIL = "mail"
    CHAT = "chat"
    LINK = "link"
    """A mail with a one-time link, which is made as it is sent: no letter holds one."""


class LetterState(StrEnum):
    """What became of it."""

    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    """The other side will never take it, or did not for too long."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One thing to be told to one recipient; `content` is what there is to tell. `alert_id` is empty where it is of no
    alert."""

    id: str
    org_id: str
    alert_id: str
    channel: Channel
    recipient: str
    content: Mapping[str, Any]
    created_at: datetime
    attempts: int = 0
    fence: int = 0
    state: LetterState = LetterState.WAITING
    due_at: datetime | None = None
    error: str | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """How many letters wait and the longest since when, and how many were refused since a moment, with the last
    error."""

    waiting: int
    waiting_since: datetime | None
    trouble: str | None
    refused: int
    refusal: str | None


async def add(connection: Connection, letters: Sequence[Letter]) -> None:
    """Put the letters in, due at once."""
    if not letters:
        return
    await connection.execute(
        """
        INSERT INTO outbox (id, org_id, alert_id, channel, recipient, content, state, attempts, created_at, due_at,
            fence)
        SELECT a, b, c, d, e, f::jsonb, 'waiting', 0, g, g, 0
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
            AS n(a, b, c, d, e, f, g)
        """,
        [letter.id for letter in letters],
        [letter.org_id for letter in letters],
        [letter.alert_id for letter in letters],
        [letter.channel for letter in letters],
        [letter.recipient for letter in letters],
        [json_text.dump(letter.content) for letter in letters],
        [letter.created_at for letter in letters],
    )


_LETTER = "id, org_id, alert_id, channel, recipient, content::text, created_at, attempts, fence, state, due_at, error"


async def take_notices(connection: Connection, limit: int) -> list[Letter]:
    """Take notices out, so many at most; others that take at the same time get others."""
    rows = await connection.fetch(
        f"""
        DELETE FROM outbox WHERE id = ANY(ARRAY(
            SELECT id FROM outbox WHERE state = 'waiting' AND channel = 'notice' ORDER BY due_at LIMIT $1
            FOR UPDATE SKIP LOCKED))
        RETURNING {_LETTER}
        """,  # noqa: S608
        limit,
    )
    return sorted(map(_letter, rows), key=lambda letter: letter.id)


async def claim(connection: Connection, now: datetime, until: datetime, limit: int) -> list[Letter]:
    """Letters that are due, so many at most, oldest first; nobody else gets them before `until`."""
    rows = await connection.fetch(
        f"""
        UPDATE outbox SET due_at = $2, fence = fence + 1, attempts = attempts + 1 WHERE id = ANY(ARRAY(
            SELECT id FROM outbox WHERE state = 'waiting' AND channel <> 'notice' AND due_at <= $1
            ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED))
        RETURNING {_LETTER}
        """,  # noqa: S608
        now,
        until,
        limit,
    )
    return sorted(map(_letter, rows), key=lambda letter: letter.id)


async def save(connection: Connection, letter: Letter) -> bool:
    """Say what became of a claimed letter; False where the claim was lost meanwhile: nothing changes."""
    done = await connection.execute(
        "UPDATE outbox SET state = $3, due_at = $4, error = $5, ended_at = $6"
        " WHERE id = $1 AND fence = $2 AND state = 'waiting'",
        letter.id,
        letter.fence,
        letter.state,
        letter.due_at,
        letter.error,
        letter.ended_at,
    )
    return str(done) == "UPDATE 1"


async def of_alert(connection: Connection, org_id: str, alert_id: str, limit: int) -> list[Letter]:
    """The latest letters about the alert, newest first."""
    rows = await connection.fetch(
        f"SELECT {_LETTER}, ended_at FROM outbox WHERE org_id = $1 AND alert_id = $2 AND channel <> 'notice'"  # noqa: S608
        " ORDER BY id DESC LIMIT $3",
        org_id,
        alert_id,
        limit,
    )
    return [_letter(row) for row in rows]


async def standing(connection: Connection, since: datetime) -> Standing:
    """How the outbox stands; refusals are counted since that moment."""
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'waiting')::int, min(created_at) FILTER (WHERE state = 'waiting'),
               max(error) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'refused')::int,
               max(error) FILTER (WHERE state = 'refused')
        FROM outbox WHERE state = 'waiting' OR (state = 'refused' AND ended_at > $1)
        """,
        since,
    )
    return Standing(*row)


async def forget(connection: Connection, before: datetime, limit: int) -> bool:
    """Delete letters that ended before that moment, so many at once; answers whether there may be more."""
    done = await connection.execute(
        "DELETE FROM outbox WHERE id = ANY(ARRAY(SELECT id FROM outbox WHERE state <> 'waiting' AND ended_at < $1"
        " LIMIT $2 FOR UPDATE SKIP LOCKED))",
        before,
        limit,
    )
    return str(done) == f"DELETE {limit}"


def _letter(row: Any) -> Letter:
    values = dict(row)
    values |= {
        "channel": Channel(row["channel"]),
        "state": LetterState(row["state"]),
        "content": json_text.parse(row["content"]),
    }
    return Letter(**values)
