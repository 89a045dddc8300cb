"""Finding out whether a write took effect whose reply never came. Reads only; see each for what counts as a sign."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from tollbridge.connectors.base import form_pairs
from tollbridge.domain.flows import LookUp, LookUpFlow, Reply, Request, Step

_CLOCKS_DIFFER = timedelta(minutes=10)
"""How far Stripe's clock may stand behind ours."""

Found: TypeAlias = Generator[Step, Reply, Mapping[str, Any] | None]


def get(path: str, query: Mapping[str, Any] | None = None) -> Request:
    return Request("GET", path, query=form_pairs(query or {}))


def invoice(key: str, customer: str, tags: Mapping[str, str]) -> LookUp:
    """An invoice of the customer with our metadata that is not void."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        query = {"customer": customer, **_since(first_sent)}

        def ours(each: Mapping[str, Any]) -> bool:
            return each.get("status") != "void" and _tagged(each, tags)

        found = yield from _first("/v1/invoices", query, f"{key}/invoices", ours)
        return None if found is None else Reply.of(found)

    return look


def lines(key: str, invoice_id: str, positions: frozenset[str]) -> LookUp:
    """A line of the call on the invoice; the call adds all of its lines or none."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        def ours(each: Mapping[str, Any]) -> bool:
            return (each.get("metadata") or {}).get("position") in positions

        found = yield from _first(f"/v1/invoices/{invoice_id}/lines", {}, f"{key}/lines", ours)
        if found is None:
            return None
        return (yield Step("Read the invoice", get(f"/v1/invoices/{invoice_id}"), f"{key}/invoice"))

    return look


def finalised(key: str, invoice_id: str) -> LookUp:
    """An invoice that is no longer a draft."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        reply = yield Step("Read the invoice", get(f"/v1/invoices/{invoice_id}"), f"{key}/invoice")
        return None if reply["status"] == "draft" else reply

    return look


def deleted(key: str, invoice_id: str) -> LookUp:
    """An invoice that is gone."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        request = get(f"/v1/invoices/{invoice_id}")
        reply = yield Step("Read the invoice", request, f"{key}/invoice", accept=frozenset({404}))
        return None if reply.ok else reply

    return look


def voided(key: str, invoice_id: str) -> LookUp:
    """An invoice that is void."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        reply = yield Step("Read the invoice", get(f"/v1/invoices/{invoice_id}"), f"{key}/invoice")
        return reply if reply["status"] == "void" else None

    return look


def credited(key: str, invoice_id: str, tags: Mapping[str, str]) -> LookUp:
    """A credit note of the invoice with our metadata that is not void."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        def ours(each: Mapping[str, Any]) -> bool:
            return each.get("status") != "void" and _tagged(each, tags)

        found = yield from _first("/v1/credit_notes", {"invoice": invoice_id}, f"{key}/notes", ours)
        return None if found is None else Reply.of(found)

    return look


def sent(key: str, invoice: Mapping[str, Any]) -> LookUp:
    """The event `invoice.sent` of the finalised invoice, which Stripe keeps for 30 days.

    The invoice itself does not tell. Where the key may not read events, or they are gone, the invoice counts as not
    sent: a second e-mail does less harm than none.
    """
    invoice_id = invoice["id"]
    finalised_at = (invoice.get("status_transitions") or {}).get("finalized_at")

    def look(first_sent: datetime | None) -> LookUpFlow:
        def ours(each: Mapping[str, Any]) -> bool:
            return bool(each["data"]["object"]["id"] == invoice_id)

        query = {"type": "invoice.sent", **_since(first_sent, finalised_at)}
        found = yield from _first("/v1/events", query, f"{key}/events", ours, accept=frozenset({403, 404}))
        if found is None:
            return None
        return (yield Step("Read the invoice", get(f"/v1/invoices/{invoice_id}"), f"{key}/invoice"))

    return look


def customer(key: str, account_id: str, email: str | None) -> LookUp:
    """A customer with our account's id: in the list, which is always up to date, then by search, which lags."""

    def look(first_sent: datetime | None) -> LookUpFlow:
        def ours(each: Mapping[str, Any]) -> bool:
            return _tagged(each, {"billing_account_id": account_id})

        found = None
        if email or first_sent:
            query = {"email": email, **_since(first_sent)}
            found = yield from _first("/v1/customers", query, f"{key}/customers", ours)
        if found is None:
            reply = yield customer_search(f"{key}/search", account_id)
            found = next(iter(reply["data"]), None)
        return None if found is None else Reply.of(found)

    return look


def customer_search(key: str, account_id: str) -> Step:
    """Search for customers with our account's id. Stripe's index lags by up to a minute: never proof of absence."""
    query = {"query": _with("billing_account_id", account_id), "limit": 2}
    return Step("Look for the customer", get("/v1/customers/search", query), key)


def invoice_search(key: str, bill_id: str) -> Step:
    """Search for invoices of our bill, whoever the customer. The index lags; where Stripe offers no search, or the key
    may not use it, the reply is not ok."""
    query = {"query": _with("bill_id", bill_id), "limit": 100}
    return Step("Look where it was sent", get("/v1/invoices/search", query), key, accept=frozenset({400, 403, 404}))


def _with(name: str, value: str) -> str:
    """The search for what has this metadata."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"metadata['{name}']:'{escaped}'"


def _first(
    path: str,
    query: Mapping[str, Any],
    key: str,
    ours: Callable[[Mapping[str, Any]], bool],
    accept: frozenset[int] = frozenset(),
) -> Found:
    """The first entry of a list, newest first, that is ours; reads page after page."""
    number, after = 0, None
    while True:
        request = get(path, {**query, "limit": 100, "starting_after": after})
        reply = yield Step("Look for an earlier effect", request, f"{key}:{number}", accept=accept)
        if not reply.ok:
            return None
        page = reply.json
        for each in page["data"]:
            if ours(each):
                return dict(each)
        if not page.get("has_more") or not page["data"]:
            return None
        number, after = number + 1, page["data"][-1]["id"]


def entries(
    name: str, path: str, query: Mapping[str, Any], key: str
) -> Generator[Step, Reply, list[Mapping[str, Any]]]:
    """All entries of a list, newest first, page after page."""
    found: list[Mapping[str, Any]] = []
    number, after = 0, None
    while True:
        reply = yield Step(name, get(path, {**query, "limit": 100, "starting_after": after}), f"{key}:{number}")
        page = reply.json
        found += page["data"]
        if not page.get("has_more") or not page["data"]:
            return found
        number, after = number + 1, page["data"][-1]["id"]


def _tagged(each: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    metadata = each.get("metadata") or {}
    return all(metadata.get(name) == value for name, value in tags.items())


def _since(first_sent: datetime | None, finalised_at: int | None = None) -> dict[str, Any]:
    """Not before the first send; nor, by Stripe's own clock, before the invoice was finalised: while many are sent,
    each minute of events is a page to read or more."""
    moments = [int((first_sent - _CLOCKS_DIFFER).timestamp())] if first_sent else []
    if finalised_at:
        moments.append(finalised_at)
    return {"created": {"gte": max(moments)}} if moments else {}
