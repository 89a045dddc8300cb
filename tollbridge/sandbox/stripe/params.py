"""Parameters as Stripe takes them: form keys with brackets, and the types that validate what they spell.

Knows no endpoint; the tables are in `tables`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from tollbridge.sandbox.stripe.errors import ParameterError

Raw = str | dict[str, Any]
_KEY = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def parse_form(text: str) -> dict[str, Any]:
    """`a[b]=1&c[]=2` as nested objects; list elements have their position as name."""
    form: dict[str, Any] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=50_000)
    except ValueError as error:
        raise ParameterError("Invalid request: the body is not valid UTF-8 form data.") from error
    for key, value in pairs:
        match = _KEY.fullmatch(key)
        if match is None:
            raise ParameterError(f"Invalid parameter name: {key}", param=key)
        path = [match[1], *re.findall(r"\[([^\[\]]*)\]", match[2])]
        inside = form
        for name in path[:-1]:
            deeper = inside.setdefault(name or str(len(inside)), {})
            if not isinstance(deeper, dict):
                raise ParameterError("Invalid object", param=key)
            inside = deeper
        inside[path[-1] or str(len(inside))] = value
    return form


@dataclass(frozen=True, slots=True)
class Text:
    """A string of at most `limit` characters (None: no limit), one of `choices` where there are any."""

    limit: int | None = 5000
    choices: tuple[str, ...] = ()
    clearable: bool = False

    def read(self, raw: Raw, name: str) -> str:
        text = _text(raw, name)
        if self.choices and text not in self.choices:
            listed = ", ".join(choice for choice in self.choices if choice)
            raise ParameterError(f"Invalid {name}: must be one of {listed}", param=name)
        if self.limit is not None and len(text) > self.limit:
            message = f"Invalid string: {text[:10]}...{text[-5:]}; must be at most {self.limit} characters"
            raise ParameterError(message, param=name)
        return text


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number; Stripe's times are such numbers too."""

    clearable: bool = False

    def read(self, raw: Raw, name: str) -> int:
        text = _text(raw, name)
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ParameterError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
        return int(text)


@dataclass(frozen=True, slots=True)
class Number:
    """A decimal number. `places` limits its decimals."""

    places: int | None = None
    clearable: bool = False

    def read(self, raw: Raw, name: str) -> Decimal:
        text = _text(raw, name)
        if not re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,30})?", text):
            raise ParameterError(f"Invalid decimal: {text}", param=name)
        decimals = len(text.partition(".")[2])
        if self.places is not None and decimals > self.places:
            message = f"Invalid decimal: {text}; must have at most {self.places} decimal places"
            raise ParameterError(message, param=name)
        return Decimal(text)


@dataclass(frozen=True, slots=True)
class Bool:
    """true or false."""

    clearable: bool = False

    def read(self, raw: Raw, name: str) -> bool:
        text = _text(raw, name)
        if text not in ("true", "false"):
            raise ParameterError(f"Invalid boolean: {text}", param=name)
        return text == "true"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Up to 50 pairs; keys of 40, values of 500 characters. An empty value removes its key, an empty string all."""

    clearable: bool = True

    def read(self, raw: Raw, name: str) -> dict[str, str]:
        if isinstance(raw, str):
            raise ParameterError("Invalid object", param=name)
        if len(raw) > 50:
            raise ParameterError("You can only set up to 50 metadata keys.", param=name)
        for key, value in raw.items():
            inner = f"{name}[{key}]"
            if len(key) > 40:
                raise ParameterError(f"Metadata keys can be up to 40 characters; {key} is longer.", param=inner)
            if len(_text(value, inner)) > 500:
                message = f"Metadata values can have up to 500 characters; the value of {key} has {len(value)}."
                raise ParameterError(message, param=inner)
        return dict(raw)


@dataclass(frozen=True, slots=True)
class Obj:
    """An object with known fields; `needs` are those that must be there."""

    fields: Mapping[str, Type]
    needs: tuple[str, ...] = ()
    clearable: bool = False

    def read(self, raw: Raw, name: str) -> dict[str, Any]:
        if isinstance(raw, str):
            raise ParameterError("Invalid object", param=name)
        return read_fields(self.fields, self.needs, raw, name)


@dataclass(frozen=True, slots=True)
class Arr:
    """A list."""

    item: Type
    clearable: bool = False

    def read(self, raw: Raw, name: str) -> list[Any]:
        if isinstance(raw, str) or not all(key.isdecimal() for key in raw):
            raise ParameterError("Invalid array", param=name)
        return [read(self.item, raw[key], f"{name}[{key}]") for key in sorted(raw, key=int)]


@dataclass(frozen=True, slots=True)
class Range:
    """A moment, or bounds of one: gt, gte, lt, lte."""

    clearable: bool = False

    def read(self, raw: Raw, name: str) -> dict[str, int]:
        if isinstance(raw, str):
            moment = Int().read(raw, name)
            return {"gte": moment, "lte": moment}
        return read_fields(dict.fromkeys(("gt", "gte", "lt", "lte"), Int()), (), raw, name)


@dataclass(frozen=True, slots=True)
class Inert:
    """A parameter that Stripe knows and this stand-in does not act on: it refuses rather than ignores it."""

    clearable: bool = field(default=False, init=False)

    def read(self, raw: Raw, name: str) -> None:
        raise ParameterError(f"The stand-in for Stripe does not act on the parameter {name}; leave it out.", param=name)


Type = Text | Int | Number | Bool | Metadata | Obj | Arr | Range | Inert


def read(kind: Type, raw: Raw, name: str) -> Any:
    """The value that a parameter spells; None where it clears the field. Raises ParameterError."""
    if raw == "" and kind.clearable:
        return None
    if raw == "" and not isinstance(kind, Inert):
        message = (
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a field; "
            f"however '{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty "
            "value."
        )
        raise ParameterError(message, code="parameter_invalid_empty", param=name)
    return kind.read(raw, name)


def read_fields(
    fields: Mapping[str, Type], needs: tuple[str, ...], raw: Mapping[str, Raw], inside: str = ""
) -> dict[str, Any]:
    """Validate all parameters of an endpoint or of an object in it. Raises ParameterError for the first bad one."""

    def full(name: str) -> str:
        return f"{inside}[{name}]" if inside else name

    unknown = [full(name) for name in raw if name not in fields]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        message = f"Received unknown parameter{plural}: {', '.join(unknown)}"
        raise ParameterError(message, code="parameter_unknown", param=unknown[0])
    for name in needs:
        if name not in raw:
            message = f"Missing required param: {full(name)}."
            raise ParameterError(message, code="parameter_missing", param=full(name))
    return {name: read(fields[name], value, full(name)) for name, value in raw.items()}


def _text(raw: Raw, name: str) -> str:
    if not isinstance(raw, str):
        raise ParameterError("Invalid string", param=name)
    return raw
