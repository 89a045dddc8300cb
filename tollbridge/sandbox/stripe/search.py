"""Stripe's search: its query language, and an index that lags behind the records.

The index keeps what a record looked like when it was last indexed, so a search can miss a new record and find an old
value: never good for reading one's own writes.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from tollbridge.sandbox.stripe.errors import StripeError

Record = dict[str, Any]
Pair = tuple[str, str]
FIELDS = {
    "customer": ("created", "email", "metadata", "name", "phone"),
    "invoice": ("created", "currency", "customer", "metadata", "number", "status", "total"),
}
_CLAUSE = re.compile(
    r"""\s*(?P<not>-)?(?P<field>\w+)(?:\[(?P<q>['"])(?P<key>(?:\\.|(?!(?P=q)).)*)(?P=q)\])?
        \s*(?P<op>:|~|>=|<=|>|<)\s*
        (?:(?P<v>['"])(?P<text>(?:\\.|(?!(?P=v)).)*)(?P=v)|(?P<bare>null|-?\d+))\s*""",
    re.VERBOSE,
)
MOST_CLAUSES = 10
"""More are refused."""
_JOIN = re.compile(r"(AND|OR)\b|(?=\S)", re.IGNORECASE)


class Index:
    """Records of one kind, findable some seconds after they changed."""

    def __init__(self, kind: str, lag: float) -> None:
        self.lag = lag
        self._fields = FIELDS[kind]
        self._indexed: dict[str, Record] = {}
        self._by_metadata: dict[Pair, dict[str, None]] = defaultdict(dict)
        self._pending: deque[tuple[float, str, Record | None]] = deque()

    def touch(self, record: Record, now: float) -> None:
        """The record is new or changed."""
        snapshot = {name: record[name] for name in self._fields}
        self._pending.append((now, record["id"], {**snapshot, "metadata": dict(record["metadata"])}))
        self._catch_up(now)

    def remove(self, id: str, now: float) -> None:
        """The record is gone."""
        self._pending.append((now, id, None))

    def find(self, query: str, now: float) -> list[str]:
        """Ids of what matches, newest first."""
        matches, pair = parse(query, self._fields)
        self._catch_up(now)
        among = self._indexed if pair is None else self._by_metadata.get(pair, {})
        return [id for id in reversed(among) if matches(self._indexed[id])]

    def _catch_up(self, now: float) -> None:
        while self._pending and self._pending[0][0] + self.lag <= now:
            _, id, snapshot = self._pending.popleft()
            for pair in self._indexed.get(id, {}).get("metadata", {}).items():
                del self._by_metadata[pair][id]
            if snapshot is None:
                self._indexed.pop(id, None)
                continue
            self._indexed[id] = snapshot
            for pair in snapshot["metadata"].items():
                self._by_metadata[pair][id] = None


def parse(query: str, fields: tuple[str, ...]) -> tuple[Callable[[Record], bool], Pair | None]:
    """A test for records, and a pair of metadata without which none passes, if there is such a pair.

    Clauses are joined by AND (also by a blank) or by OR, never by both.
    """
    pairs: list[Pair] = []
    clauses: list[Callable[[Record], bool]] = []
    joins: set[str] = set()
    at = 0
    while True:
        match = _CLAUSE.match(query, at)
        if match is None:
            raise _unreadable(f"We were unable to parse your search query: `{query}`.")
        clauses.append(_clause(match, fields))
        if match["key"] is not None and match["op"] == ":" and match["text"] is not None and not match["not"]:
            pairs.append((_unescaped(match["key"]), _unescaped(match["text"])))
        if len(clauses) > MOST_CLAUSES:
            raise _unreadable(f"A search query may have at most {MOST_CLAUSES} clauses.")
        at = match.end()
        if at == len(query):
            break
        join = _JOIN.match(query, at)
        if join is None:
            raise _unreadable(f"We were unable to parse your search query: `{query}`.")
        joins.add((join[1] or "AND").upper())
        at = join.end()
    if len(joins) > 1:
        raise _unreadable("AND and OR cannot be combined in one search query.")
    if joins == {"OR"}:
        return lambda record: any(clause(record) for clause in clauses), None
    return lambda record: all(clause(record) for clause in clauses), pairs[0] if pairs else None


def _clause(match: re.Match[str], fields: tuple[str, ...]) -> Callable[[Record], bool]:
    name, op = match["field"], match["op"]
    key = None if match["key"] is None else _unescaped(match["key"])
    if name not in fields or (name == "metadata") != (key is not None):
        raise _unreadable(f"Field `{name}` is an unsupported search field for this resource.")
    null = match["bare"] == "null"
    wanted = _unescaped(match["text"]) if match["text"] is not None else match["bare"]
    numeric = name in ("created", "total")
    if numeric and (null or not wanted.lstrip("-").isdecimal()):
        raise _unreadable(f"Field `{name}` needs a number.")
    if (op in ("<", ">", "<=", ">=") and not numeric) or (op == "~" and (numeric or null or len(wanted) < 3)):
        raise _unreadable(f"Operator `{op}` is not supported for the field `{name}` with this value.")

    def matches(record: Record) -> bool:
        value = record["metadata"].get(key) if key is not None else record[name]
        if value is None or null:
            return null and value is None
        if numeric:
            return _compare(value, op, int(wanted))
        if op == "~":
            return wanted.lower() in str(value).lower()
        return bool(str(value).lower() == wanted.lower()) if key is None else bool(value == wanted)

    return (lambda record: not matches(record)) if match["not"] else matches


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _compare(value: int, op: str, wanted: int) -> bool:
    results = {":": value == wanted, ">": value > wanted, "<": value < wanted}
    return {**results, ">=": value >= wanted, "<=": value <= wanted}[op]


def _unreadable(message: str) -> StripeError:
    return StripeError(message, param="query")
