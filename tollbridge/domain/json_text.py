"""JSON with exact decimals: numbers with a fraction or exponent become Decimal, and Decimals are written as numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import simplejson

MAX_DEPTH = 40


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twin!r} stands twice in one object")
    return value


_DECODER = simplejson.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_refuse_twins)


def parse(text: str | bytes) -> Any:
    """Parse JSON text (UTF-8 where bytes); raises ValueError with the position for anything that is not JSON,
    for NaN and Infinity, a key that stands twice, and nesting deeper than `MAX_DEPTH`."""
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels") from error
    # What opens no more brackets than that is no deeper either.
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return value


_OWN = simplejson.JSONDecoder(parse_float=Decimal)


def parse_own(text: str) -> Any:
    """Parse JSON text that the database keeps: what came in was judged by `parse` before."""
    return _OWN.decode(text)


def _encoder(indent: int | None) -> simplejson.JSONEncoder:
    separators = (",", ":") if indent is None else (",", ": ")
    return simplejson.JSONEncoder(
        use_decimal=True,
        namedtuple_as_object=False,
        ensure_ascii=False,
        allow_nan=False,
        indent=indent,
        separators=separators,
    )


_COMPACT = _encoder(None)


def dump(value: Any, *, indent: int | None = None) -> str:
    """Write JSON text; Decimals as numbers without loss, keys in the given order."""
    return (_COMPACT if indent is None else _encoder(indent)).encode(value)


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return any(isinstance(inner, (dict, list)) for inner in level)
