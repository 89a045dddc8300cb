"""What the run log may show of a request and of its reply: no credentials, no fields that a connector hides, no bulk.

Idempotency keys are shown: the vendor's own log is searched by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, SecretStr

from tollbridge.domain import json_text
from tollbridge.domain.flows import Reply, Request

HIDDEN = "•••"
SHORTEST_SECRET = 6
"""Shorter values are not searched for in texts: they would hit innocent ones."""

_HEADERS = re.compile(r"content-type|location|retry-after|.*request-?id|.*ratelimit.*|idempotent-.*|.*should-retry")
_UNKEPT = re.compile("[\x00\ud800-\udfff]")
_BRACKETS = re.compile(r"\[([^\]]*)\]")


class Redactor:
    """Shows the requests and replies of one run; `fields` are names to hide, `secrets` values to hide wherever they
    stand. Of a body of more than `longest` characters the beginning is shown as text."""

    def __init__(self, fields: frozenset[str], secrets: Iterable[str], longest: int) -> None:
        self._longest = longest
        self._fields = fields
        self._secrets = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        # As they stand in JSON text that we write.
        self._written_secrets = [json_text.dump(secret)[1:-1] for secret in self._secrets]
        self._written_fields = [f"{json_text.dump(field)}:" for field in fields]

    def request(self, request: Request, idempotency_key: str | None) -> dict[str, Any]:
        """The request as JSON: method, path, query, body as nested values, idempotency key; no headers."""
        return self._redacted(_request(request, idempotency_key))

    def reply(self, reply: Reply) -> dict[str, Any]:
        """The reply as JSON: the headers that help a vendor's support, and the body."""
        return self._redacted(_reply(reply))

    def request_text(self, request: Request, idempotency_key: str | None) -> str:
        """The same as `request`, as JSON text."""
        return self._written(_request(request, idempotency_key))

    def reply_text(self, reply: Reply) -> str:
        """The same as `reply`, as JSON text."""
        return self._written(_reply(reply))

    def _written(self, shown: dict[str, Any]) -> str:
        text = json_text.dump(shown)
        # Most have nothing to hide and are short: what was written to find that out is then what is kept.
        if len(text) <= self._longest and not self._is_suspicious(text):
            return text
        return json_text.dump(self._redacted(shown))

    def _redacted(self, shown: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._part(name, value) for name, value in shown.items()}

    def _part(self, name: str, value: Any) -> Any:
        match name:
            case "path":
                return self.text(value)
            case "headers":
                return {header: self.text(each) for header, each in value.items()}
            case "query":
                return self._hidden(value)
            case "form" | "json":
                return self._body(value)
            case "text":
                return self._text(value)
            case _:
                return value

    def text(self, text: str) -> str:
        """The text without any secret, and without what PostgreSQL keeps in no text: NUL and half characters."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _UNKEPT.sub("\ufffd", text)

    def _body(self, value: Any) -> Any:
        text = json_text.dump(value)
        # Most bodies have nothing to hide, and to walk through one costs more than all else that is done with it.
        if self._is_suspicious(text):
            value = self._hidden(value)
            text = json_text.dump(value)
        return value if len(text) <= self._longest else self._cut(text)

    def _is_suspicious(self, text: str) -> bool:
        """Whether something in JSON text, as we write it, may have to be hidden or cannot be kept."""
        # One search for each beats one pattern for all many times over.
        return (
            "\\u0000" in text
            or any(secret in text for secret in self._written_secrets)
            or any(text.count(field) > text.count(f"{field}null") for field in self._written_fields)
            or _has_half_characters(text)
        )

    def _text(self, text: str) -> str:
        text = self.text(text)
        return text if len(text) <= self._longest else self._cut(text)

    def _cut(self, text: str) -> str:
        return f"{text[: self._longest]}… ({len(text)} characters in all)"

    def _hidden(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {
                    self._hidden(name): HIDDEN if name in self._fields and inner is not None else self._hidden(inner)
                    for name, inner in value.items()
                }
            case list() | tuple():
                return [self._hidden(inner) for inner in value]
            case _:
                return value


def _has_half_characters(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _request(request: Request, idempotency_key: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"method": request.method, "path": request.path}
    if request.query:
        shown["query"] = dict(request.query)
    if request.form is not None:
        shown["form"] = nested(request.form)
    elif request.json is not None:
        shown["json"] = request.json
    elif request.body is not None:
        shown["text"] = request.body.decode("utf-8", "replace")
    if idempotency_key is not None:
        shown["idempotencyKey"] = idempotency_key
    return shown


def _reply(reply: Reply) -> dict[str, Any]:
    shown: dict[str, Any] = {"headers": {name: value for name, value in reply.headers.items() if _is_shown(name)}}
    value = reply.json
    if value is not None:
        shown["json"] = value
    elif reply.body:
        shown["text"] = reply.body.decode("utf-8", "replace")
    return shown


@lru_cache(maxsize=1024)
def _is_shown(header: str) -> bool:
    return _HEADERS.fullmatch(header) is not None


def secrets_of(credential: BaseModel) -> list[str]:
    """The values of all secret fields of a credential."""
    values = (getattr(credential, name) for name in type(credential).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]


def nested(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Pairs in bracket notation as nested maps; `lines[0][amount]` stands at `lines` → `0` → `amount`."""
    tree: dict[str, Any] = {}
    for name, value in pairs:
        *branch, leaf = _path(name)
        level = tree
        for part in branch:
            inner = level.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = level[part] = {"": inner}
            level = inner
        level[leaf] = value
    return tree


@lru_cache(maxsize=4096)
def _path(name: str) -> tuple[str, ...]:
    head, bracket, _ = name.partition("[")
    return (head, *_BRACKETS.findall(name)) if bracket else (name,)
