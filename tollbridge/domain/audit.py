"""What the audit log says of a change: the fields that differ, before and after, without secrets.

Decides what is shown; who changed what and when, others know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

HIDDEN = "•••"

_SECRET = re.compile(r"secret|password|passphrase|token|authori[sz]ation|cookie|api[-_]?key|private[-_]?key", re.I)

Fields = Mapping[str, Any]
NOTHING: Fields = MappingProxyType({})


class Action(StrEnum):
    """What was done. The first three are noted by themselves wherever rows of an audited table change."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    ENABLE = "ENABLE"
    DISABLE = "DISABLE"
    DROP = "DROP"
    PAUSE = "PAUSE"
    RESUME = "RESUME"
    SEND = "SEND"
    DECIDE = "DECIDE"
    CONTINUE = "CONTINUE"
    REPLAY = "REPLAY"
    SEND_TEST = "SEND_TEST"
    RESEND = "RESEND"
    RECOVER = "RECOVER"
    REPLAY_MISSING = "REPLAY_MISSING"
    BRING_BACK = "BRING_BACK"
    MEND = "MEND"
    STOP = "STOP"
    REPLACE_SECRET = "REPLACE_SECRET"  # noqa: S105 an action
    ROTATE_KEYS = "ROTATE_KEYS"
    RESTORE = "RESTORE"
    INVITE = "INVITE"
    MAKE_LINK = "MAKE_LINK"
    SET_PASSWORD = "SET_PASSWORD"  # noqa: S105 an action
    SIGN_IN = "SIGN_IN"
    SIGN_IN_REFUSED = "SIGN_IN_REFUSED"
    SIGN_OUT = "SIGN_OUT"
    END_SESSION = "END_SESSION"
    ERASE = "ERASE"
    MARK_ACTIONED = "MARK_ACTIONED"
    MARK_OPEN = "MARK_OPEN"


def difference(before: Fields, after: Fields) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of both that differ, as plain JSON; what looks like a secret is hidden, but seen to differ."""
    told_before, told_after = _plain(before), _plain(after)
    changed = [
        name for name in {**told_before, **told_after} if told_before.get(name, HIDDEN) != told_after.get(name, HIDDEN)
    ]
    return (
        {name: _hidden(name, told_before[name]) for name in changed if name in told_before},
        {name: _hidden(name, told_after[name]) for name in changed if name in told_after},
    )


def _hidden(name: str, value: Any) -> Any:
    match value:
        case None | "":
            return value
        case _ if _SECRET.search(name):
            return HIDDEN
        case dict():
            return {inner: _hidden(inner, each) for inner, each in value.items()}
        case list():
            return [_hidden("", each) for each in value]
        case _:
            return value


def _plain(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case _:
            return value
