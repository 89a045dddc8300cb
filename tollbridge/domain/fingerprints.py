"""Fingerprints of JSON values: equal for values that say the same, however their numbers are written."""

from __future__ import annotations

import hashlib
from decimal import Context, Decimal
from typing import Any

from tollbridge.domain import json_text

_EVERY_DIGIT = Context(prec=100)


def fingerprint(value: Any) -> str:
    """A SHA-256 over JSON in one canonical form: keys sorted, 12.50 written as 12.5."""
    return hashlib.sha256(json_text.dump(_canonical(value)).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    match value:
        case str() | bool() | None:
            return value
        case dict():
            return {name: _canonical(value[name]) for name in sorted(value)}
        case list() | tuple():
            return [_canonical(inner) for inner in value]
        case _:
            return Decimal(value).normalize(_EVERY_DIGIT) if value else 0
