"""Events, as `/v1/events` lists them.

Simplifications: only what `Books.happened` is told about, no `previous_attributes`, and no name of the request that
caused an event. They are as complete at once as Stripe's become in time: nothing here lags.
"""

from __future__ import annotations

import re
from functools import partial

from tollbridge.sandbox.stripe import lists
from tollbridge.sandbox.stripe.books import Books, Record
from tollbridge.sandbox.stripe.errors import ParameterError, no_such
from tollbridge.sandbox.stripe.journal import Event

API_VERSION = "2026-08-26.dahlia"
TYPES_PER_CALL = 20


def list_(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/events, newest first; `*` in a type stands for any text, as in `invoice.*`."""
    wanted = _types(given)

    def keep(event: Event) -> bool:
        right = wanted is None or wanted.fullmatch(event.type) is not None
        return right and lists.within(event.created, given.get("created"))

    kept = books.journal.kept(books.now())
    return lists.page(
        reversed(kept.values()),
        given,
        "/v1/events",
        noun="event",
        known=kept,
        keep=keep,
        show=partial(_show, books),
        id_of=lambda event: event.id,
    )


def get(books: Books, path: Record, given: Record) -> Record:
    """GET /v1/events/{id}"""
    event = books.journal.kept(books.now()).get(path["id"])
    if event is None:
        raise no_such("event", path["id"])
    return _show(books, event)


def _types(given: Record) -> re.Pattern[str] | None:
    if "type" in given and "types" in given:
        message = "You may only specify one of these parameters: type, types."
        raise ParameterError(message, code="parameters_exclusive")
    if len(given.get("types", ())) > TYPES_PER_CALL:
        message = f"Array types exceeded maximum {TYPES_PER_CALL} allowed elements."
        raise ParameterError(message, param="types")
    types = given.get("types") or ([given["type"]] if "type" in given else [])
    return re.compile("|".join(re.escape(each).replace(r"\*", ".*") for each in types)) if types else None


def _show(books: Books, event: Event) -> Record:
    return {
        "id": event.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": event.created,
        "data": {"object": books.journal.object_of(event)},
        "livemode": books.livemode,
        "pending_webhooks": 0,
        "request": None,
        "type": event.type,
    }
