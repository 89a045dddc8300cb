"""What answers of a receiver mean: 2xx is success, everything else a failed attempt."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Reply

_SHOWN = 200
"""Characters of an answer that a message repeats."""

_HINTS = {
    400: "The receiver did not like the message: see its own log.",
    401: "See whether the receiver verifies with the present secret and API key.",
    403: "See whether the receiver verifies with the present secret and API key.",
    404: "See whether the URL of the webhook is right.",
    405: "See whether the URL of the webhook takes POST.",
    410: "The receiver is gone for good: give the webhook another URL, or delete it.",
    413: "Let the receiver take bodies of 256 KB.",
    429: "Give the webhook a rate, so that it gets no more than it takes.",
}


def classify(reply: Reply) -> Fault | None:
    """The failed attempt that this answer means; None for 2xx. Redirects are not followed."""
    if reply.ok:
        return None
    status = reply.status
    code = "webhook.gone" if status == 410 else f"webhook.http_{status}"
    said = reply.body[: 4 * _SHOWN].decode("utf-8", "replace").strip()[:_SHOWN]
    if 300 <= status < 400:
        hint = "Redirects are not followed: give the webhook the URL that it leads to."
    else:
        hint = _HINTS.get(status, "See the receiver's own log for what went wrong.")
    message = f"The receiver answered {status}" + (f": {said}" if said else ".")
    return Fault(FaultKind.UNAVAILABLE, code, message, hint, retry_after=_retry_after(reply))


def replayed(reply: Reply) -> bool:
    """No receiver says that it has seen a message before."""
    return False


def _retry_after(reply: Reply) -> timedelta | None:
    """The wait that was asked for, in seconds or until a date (RFC 9110 §10.2.3), from the answer's own date."""
    text = reply.headers.get("retry-after", "")
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return timedelta(seconds=int(text))
    until, answered = _date(text), _date(reply.headers.get("date", ""))
    return max(until - answered, timedelta()) if until and answered else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
