"""The way of one request through the stand-in: key, rate limit, parameters, idempotency, work, reply.

The order decides what an idempotency key remembers, so it follows Stripe's. Faults strike where Stripe would fail.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tollbridge.sandbox.clock import Clock
from tollbridge.sandbox.faults import Faults, Struck
from tollbridge.sandbox.server import JSON, Answer, Call, ConnectionCut
from tollbridge.sandbox.stripe import lists, operations, report, settling
from tollbridge.sandbox.stripe.books import Books, Record
from tollbridge.sandbox.stripe.errors import ParameterError, StripeError
from tollbridge.sandbox.stripe.events import API_VERSION
from tollbridge.sandbox.stripe.idempotency import Keys
from tollbridge.sandbox.stripe.limits import Limiter
from tollbridge.sandbox.stripe.params import parse_form, read_fields

_KEY = re.compile(r"(?:sk|rk)_(test|live)_[A-Za-z0-9]{4,200}")
_ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{4,60}")


class Stripe:
    """All accounts of the stand-in. `search_lag` in seconds."""

    def __init__(self, *, search_lag: float, requests_per_second: float | None) -> None:
        self.clock, self.faults = Clock(), Faults()
        self.accounts: dict[tuple[str, bool], Books] = {}
        self._idempotency: dict[tuple[str, bool], Keys] = {}
        self._keys: dict[str, Books] = {}
        self._revoked: set[str] = set()
        self._search_lag = search_lag
        self._limiter = Limiter(requests_per_second)
        self._late: set[asyncio.Task[Answer]] = set()
        self._request_numbers = itertools.count(1)

    def add_key(self, given: JSON) -> JSON:
        """Register a bearer key for an account; several may open the same one."""
        key, account = given["key"], given["account"]
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError("key must look like sk_test_… or rk_live_…, letters and digits only after the prefix")
        if not _ACCOUNT.fullmatch(account):
            raise ValueError("account must look like acct_…, letters and digits only after the prefix")
        live = match[1] == "live"
        if (account, live) not in self.accounts:
            self.accounts[account, live] = Books(account, live, self.clock, self._search_lag)
            self._idempotency[account, live] = Keys()
        self._keys[key] = self.accounts[account, live]
        return {"key": key, "account": account, "livemode": live}

    def revoke_key(self, given: JSON) -> JSON:
        """Revoke a bearer key that was registered."""
        if given["key"] not in self._keys:
            raise ValueError("no such key was registered")
        self._revoked.add(given["key"])
        return {"revoked": len(self._revoked)}

    def pay(self, given: JSON) -> JSON:
        """Let the customer pay all that is owed of an `invoice`, at Stripe: it can be refunded."""
        books = self._books_of(given["invoice"])
        settling.pay_here(books, given["invoice"])
        return {"invoice": given["invoice"], "status": books.invoices[given["invoice"]]["status"]}

    def refund(self, given: JSON) -> JSON:
        """Give back an `amount` of what was paid of an `invoice`, without a credit note."""
        books, amount = self._books_of(given["invoice"]), int(given["amount"])
        if not 0 < amount <= books.refundable(given["invoice"]):
            raise ValueError(f"{books.refundable(given['invoice'])} of the invoice can be refunded, not {amount}")
        return {"refund": books.refund(given["invoice"], amount).id}

    def _books_of(self, invoice: str) -> Books:
        for books in self.accounts.values():
            if invoice in books.invoices:
                return books
        raise ValueError(f"there is no invoice {invoice}")

    def set_limits(self, given: JSON) -> JSON:
        """Change `requests_per_second` (null: Stripe's own, 0: none) and `search_lag` in seconds."""
        if unknown := given.keys() - {"requests_per_second", "search_lag"}:
            raise ValueError(f"unknown limits: {', '.join(sorted(unknown))}")
        if "requests_per_second" in given:
            rate = given["requests_per_second"]
            self._limiter = Limiter(None if rate is None else float(rate))
        if "search_lag" in given:
            self._search_lag = float(given["search_lag"])
            for books in self.accounts.values():
                for index in books.search.values():
                    index.lag = self._search_lag
        return {"requests_per_second": self._limiter.requests_per_second, "search_lag": self._search_lag}

    def books(self, query: Mapping[str, str]) -> JSON:
        """What all accounts hold; see `report.books`."""
        return report.books(self.accounts.values(), query, self.clock.now())

    async def close(self) -> None:
        """Give up work that was to be done late."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    async def answer(self, call: Call) -> Answer:
        """Answer one request; every reply carries a request id and the API version."""
        try:
            answer = await self._answer(call)
        except StripeError as error:
            answer = _refused(error)
        headers = {
            "Request-Id": f"req_{next(self._request_numbers):014d}",
            "Stripe-Version": call.headers.get("stripe-version", API_VERSION),
            "Content-Type": "application/json",
        }
        if call.method == "POST" and "idempotency-key" in call.headers:
            headers["Idempotency-Key"] = call.headers["idempotency-key"]
        return Answer(answer.status, answer.body, {**headers, **answer.headers})

    async def _answer(self, call: Call) -> Answer:
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ").strip()
        struck = self.faults.strike(call.method, call.path, bearer)
        if struck.has("dropped"):
            raise ConnectionCut
        books = self._opened(call, bearer, revoked=bearer in self._revoked or struck.has("key_revoked"))
        self._limit(books, struck)
        task = _task(call, books)
        if struck.has("late_commit") and struck.fault is not None:
            self._begin_late(task, struck.latency + struck.fault.seconds)
            raise ConnectionCut
        answer = self._kept(task) or await self._work(task, struck)
        if struck.has("reply_lost"):
            raise ConnectionCut
        return answer

    def _opened(self, call: Call, bearer: str, *, revoked: bool) -> Books:
        """The books that the key opens. Stripe tells a revoked key apart from an unknown one."""
        if not bearer:
            message = "You did not provide an API key. Provide it in the Authorization header, as a Bearer token."
            raise StripeError(message, status=401)
        shown = f"{bearer[:8]}{'*' * 8}{bearer[-4:]}"
        if revoked:
            raise StripeError(f"Expired API Key provided: {shown}", status=401, code="api_key_expired")
        books = self._keys.get(bearer)
        if books is None:
            raise StripeError(f"Invalid API Key provided: {shown}", status=401)
        account = call.headers.get("stripe-account", books.account)
        if account != books.account:
            message = f"The provided key '{shown}' does not have access to account '{account}'."
            raise StripeError(message, status=403, code="account_invalid")
        return books

    def _limit(self, books: Books, struck: Struck) -> None:
        if struck.has("rate_limited") and struck.fault is not None:
            raise RateLimited(struck.fault.reason or "global-rate", struck.fault.retry_after)
        if not self._limiter.admits(books.account, live=books.livemode):
            raise RateLimited("global-rate", None)

    def _kept(self, task: Task) -> Answer | None:
        """The reply that an idempotency key replays; None means that the work begins, with the key in flight."""
        if task.key is None:
            return None
        spelled = json.dumps(task.given, sort_keys=True, default=str)
        kept = self._keys_of(task).begin(task.key, task.url, spelled, self.clock.now())
        return kept and Answer(kept.status, kept.body, {**kept.headers, "Idempotent-Replayed": "true"})

    async def _work(self, task: Task, struck: Struck) -> Answer:
        if struck.latency:
            await self.clock.sleep(struck.latency)
        if struck.has("lock_timeout"):
            answer = _refused(LOCK_TIMEOUT)
        elif struck.has("error_before_commit"):
            answer = _refused(API_ERROR)
        else:
            answer = _done(task)
            if struck.has("error_after_commit"):
                answer = _refused(API_ERROR)
        if task.key is not None:
            self._keys_of(task).keep(task.key, answer)
        return answer

    def _begin_late(self, task: Task, seconds: float) -> None:
        """Do the work after the client is gone; the key is in flight until then."""
        if self._kept(task) is None:
            work = asyncio.create_task(self._work(task, Struck(seconds, None)))
            self._late.add(work)
            work.add_done_callback(self._late.discard)

    def _keys_of(self, task: Task) -> Keys:
        return self._idempotency[task.books.account, task.books.livemode]


@dataclass(frozen=True, slots=True)
class Task:
    """A request that passed validation: what is to be done, where, and under which idempotency key."""

    books: Books
    operation: operations.Operation
    url: str
    path: Record
    given: Record
    key: str | None


class RateLimited(StripeError):
    """429 of the rate limiter: no work began. `retry_after` in seconds; Stripe itself sends none."""

    def __init__(self, reason: str, retry_after: int | None) -> None:
        message = "Request rate limit exceeded. You can learn more about rate limits here https://stripe.com/docs/rate-limits."
        super().__init__(message, status=429, code="rate_limit")
        self.headers = {"Stripe-Rate-Limited-Reason": reason}
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)


LOCK_TIMEOUT = StripeError(
    "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. "
    "If you see this error intermittently, retry the request.",
    status=429,
    code="lock_timeout",
)
API_ERROR = StripeError(
    "An unknown error occurred. Please let us know at https://support.stripe.com.", status=500, type="api_error"
)


def _task(call: Call, books: Books) -> Task:
    found = operations.find(call.method, call.path)
    if found is None:
        message = f"Unrecognized request URL ({call.method}: {call.path}). The stand-in has no such endpoint."
        raise StripeError(message, status=404)
    operation, path = found
    key = call.headers.get("idempotency-key") if call.method == "POST" else None
    return Task(books, operation, call.path, path, _parameters(call, operation), key)


def _done(task: Task) -> Answer:
    """Perform the operation. A refusal from here on is a result like any other."""
    wanted = task.given.get("expand", [])
    given = {name: value for name, value in task.given.items() if name != "expand"}
    try:
        result = task.operation.handler(task.books, task.path, given)
        if "total_count" not in wanted:
            result = {name: value for name, value in result.items() if name != "total_count"}
        return _reply(200, lists.expand(task.books, result, [each for each in wanted if each != "total_count"]))
    except StripeError as error:
        return _refused(error)


def _parameters(call: Call, operation: operations.Operation) -> Record:
    form = parse_form(call.query)
    if call.method == "POST":
        try:
            form = {**form, **parse_form(call.body.decode())}
        except UnicodeDecodeError as error:
            raise ParameterError("Invalid request: the body is not valid UTF-8.") from error
    return read_fields(operation.table, operation.needs, form)


def _refused(error: StripeError) -> Answer:
    """Whether the limiter's 429 and a 5xx carry Stripe-Should-Retry is not documented: they carry none here."""
    headers: dict[str, str] = getattr(error, "headers", {})
    if error.status == 409 or error is LOCK_TIMEOUT:
        headers = {"Stripe-Should-Retry": "true"}
    elif error.status < 500 and error.status != 429:
        headers = {"Stripe-Should-Retry": "false"}
    return _reply(error.status, error.body(), headers)


def _reply(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(value, separators=(",", ":")).encode(), headers or {})
