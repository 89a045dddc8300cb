"""One table of how every status looks: its shape, its colour, and its word. Never the colour alone."""

from __future__ import annotations

from dataclasses import dataclass

OK, BUSY, WARN, BAD, NONE = "ok", "busy", "warn", "bad", "none"


@dataclass(frozen=True, slots=True)
class Status:
    """`kind` names the shape and the colour, `word` is shown, `name` is the value on the wire."""

    kind: str
    word: str
    name: str


_KINDS = {
    OK: "COMPLETE DELIVERED CONNECTED VALID ENABLED ACTIVE CLOSED APPROVED SKIPPED ACTIONED SENT RESOLVED",
    BUSY: "STARTED RUNNING QUEUED IN_PROGRESS RATE_LIMIT_RETRY AWAITING_RETRY INVITED UNCHECKED",
    WARN: "WAITING HELD WAITING_FOR_APPROVAL DISCONNECTED WARN AUTH_FAILED SUPERSEDED PENDING INVOICE_ALREADY_PAID"
    " ACCOUNTING_PERIOD_CLOSED",
    BAD: "ERROR FAILED DISABLED INVALID TIMEOUT_LIMIT_EXCEEDED NEW NOT_ACTIONED DOWN REFUSED",
    NONE: "CANCELLED OUT_OF_SCOPE BEFORE_CUT_OVER INFO INACTIVE ENDED",
}
_BY_NAME = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_WORDS = {
    "AUTH_FAILED": "Waiting for a credential",
    "COMPLETE": "Complete",
    "STARTED": "Running",
    "RATE_LIMIT_RETRY": "Waiting for the rate limit",
    "TIMEOUT_LIMIT_EXCEEDED": "Took too long",
    "INVOICE_ALREADY_PAID": "Invoice already paid",
    "WARN": "Warning",
    "OUT_OF_SCOPE": "Out of scope",
    "BEFORE_CUT_OVER": "Before cut-over",
}


def status(value: str) -> Status:
    """How a status of a run, an integration, a credential, a bill or an alert is shown."""
    name = str(value).upper()
    word = _WORDS.get(name, name.replace("_", " ").capitalize())
    return Status(_BY_NAME.get(name, NONE), word, name)


def every_status() -> list[str]:
    """The names of all that have a shape of their own."""
    return list(_BY_NAME)
