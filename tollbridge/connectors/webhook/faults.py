"""What answers of a receiver mean: 2xx is success, everything else a failed attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Reply
from tollbridge.domain.known_errors import KnownError, Mender

_SHOWN = 200
"""Characters of an answer that a message repeats."""
_LOG = "See the receiver's own log for what went wrong."
_VERIFY = "See whether the receiver verifies with the present secret and API key."
_MOVED = "Redirects are not followed: give the webhook the URL that it leads to."
_ROOM = "Let the receiver answer at once and work afterwards, or give it more room; the attempt is repeated."


def _status(status: int, cause: str, mender: Mender, remedy: str) -> KnownError:
    return KnownError(f"webhook.http_{status}", FaultKind.UNAVAILABLE, cause, mender, remedy)


_BY_STATUS = {
    301: _status(301, "The receiver has moved for good.", Mender.INTEGRATION, _MOVED),
    302: _status(302, "The receiver leads to another URL, such as a page to sign in.", Mender.INTEGRATION, _MOVED),
    303: _status(303, "The receiver leads to another URL.", Mender.INTEGRATION, _MOVED),
    307: _status(307, "The receiver has moved for a while.", Mender.INTEGRATION, _MOVED),
    308: _status(308, "The receiver has moved for good.", Mender.INTEGRATION, _MOVED),
    400: _status(
        400,
        "The receiver does not like the message.",
        Mender.OTHER_SIDE,
        "The receiver did not like the message: see its own log.",
    ),
    401: _status(401, "The receiver does not believe that the message is ours.", Mender.OTHER_SIDE, _VERIFY),
    403: _status(403, "The receiver, or a firewall before it, lets the message not in.", Mender.OTHER_SIDE, _VERIFY),
    404: _status(
        404,
        "There is nothing at the URL of the webhook.",
        Mender.INTEGRATION,
        "See whether the URL of the webhook is right.",
    ),
    405: _status(
        405,
        "What is at the URL of the webhook takes no POST.",
        Mender.INTEGRATION,
        "See whether the URL of the webhook takes POST.",
    ),
    408: _status(408, "The message did not reach the receiver in its time.", Mender.OTHER_SIDE, _ROOM),
    409: _status(
        409,
        "The receiver says that the message is in conflict with what it has; perhaps it has the message already.",
        Mender.OTHER_SIDE,
        "Let the receiver answer 2xx to a webhook-id that it has seen before.",
    ),
    410: KnownError(
        "webhook.gone",
        FaultKind.UNAVAILABLE,
        "The receiver answered 410: it is gone for good.",
        Mender.INTEGRATION,
        "The receiver is gone for good: give the webhook another URL, or delete it.",
    ),
    413: _status(
        413,
        "The message is longer than the receiver takes.",
        Mender.OTHER_SIDE,
        "Let the receiver take bodies of 256 KB.",
    ),
    415: _status(
        415,
        "The receiver takes no JSON at this URL.",
        Mender.OTHER_SIDE,
        "Let the receiver take application/json, or correct the URL of the webhook.",
    ),
    422: _status(
        422,
        "The receiver understands the message, but will not have it as it is.",
        Mender.OTHER_SIDE,
        "See the receiver's own log, and what the rule puts into the message.",
    ),
    429: _status(
        429,
        "The receiver takes no more messages for a while.",
        Mender.INTEGRATION,
        "Give the webhook a rate, so that it gets no more than it takes.",
    ),
    500: _status(500, "The receiver met an error of its own.", Mender.OTHER_SIDE, _LOG),
    502: _status(502, "What stands before the receiver cannot reach it.", Mender.OTHER_SIDE, _LOG),
    503: _status(503, "The receiver is overloaded or being maintained.", Mender.OTHER_SIDE, _LOG),
    504: _status(504, "The receiver did not answer what stands before it in time.", Mender.OTHER_SIDE, _ROOM),
}
_UNKNOWN = KnownError(
    "webhook.unknown",
    FaultKind.UNAVAILABLE,
    "The receiver answered with a status that Tollbridge knows no more about; the code of the error is then "
    "`webhook.http_` and the status. Its answer stands in the run log.",
    Mender.OTHER_SIDE,
    _LOG,
)
ERRORS = (*_BY_STATUS.values(), _UNKNOWN)
"""Every answer that we know, each code once."""


def classify(reply: Reply) -> Fault | None:
    """The failed attempt that this answer means; None for 2xx. Redirects are not followed."""
    if reply.ok:
        return None
    status = reply.status
    known = _BY_STATUS.get(status) or replace(_UNKNOWN, code=f"webhook.http_{status}")
    strange = "" if status in _BY_STATUS else " (unknown)"
    said = reply.body[: 4 * _SHOWN].decode("utf-8", "replace").strip()[:_SHOWN]
    message = f"The receiver answered {status}{strange}" + (f": {said}" if said else ".")
    return known.fault(message, retry_after=_retry_after(reply))


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
