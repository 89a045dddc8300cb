"""Rules for the fields of request bodies: one value says what is accepted, checks it, and describes it as JSON Schema.

A check keeps what the caller sent, unchanged: numbers stay Decimal or int, dates stay text. It knows no noun; each noun
writes down its own `Shape`. Nothing here reads a database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, NoReturn

from tollbridge.domain.errors import Invalid

NOTRIM = r"^(?:\S(?:[\S ]*\S)?)?$"
"""No white space at either end, and inside none but plain spaces."""

MAX_TEXT = 100_000
"""Characters of a text for which no other limit is known."""

MAX_DIGITS = 38
"""Digits before and, apart from them, after the decimal point of a number."""

EARLIEST = date(1900, 1, 1)
"""No day that means anything lies before; days may be counted back from it."""

# C0 and C1 controls except tab, line feed and carriage return; and halves of surrogate pairs, which are no characters.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_OUT_OF_PATHS = "/?#%"

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one value must be. `check` raises Invalid, or returns the value as it is to be kept."""

    check: Callable[[Any, str], Any]
    schema: Mapping[str, Any]
    required: bool = False
    expected: str = "a value"


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of an object. Fields that are not named here are tolerated and left out, as is null."""

    fields: Mapping[str, Rule] = field(default_factory=dict)

    def check(self, value: Any, path: str = "") -> dict[str, Any]:
        """The named fields of the object, unchanged; raises Invalid that names path, value and what is expected."""
        if not isinstance(value, dict):
            refuse(path, value, "an object")
        kept: dict[str, Any] = {}
        for name, rule in self.fields.items():
            inner = f"{path}.{name}" if path else name
            given = value.get(name)
            if given is not None:
                kept[name] = rule.check(given, inner)
            elif rule.required:
                raise Invalid("field.missing", f"{inner} is missing.", f"Give {inner}: {rule.expected}.", inner)
        return kept

    @property
    def schema(self) -> dict[str, Any]:
        """The shape as JSON Schema."""
        required = [name for name, rule in self.fields.items() if rule.required]
        properties = {name: dict(rule.schema) for name, rule in self.fields.items()}
        return {"type": "object", "properties": properties} | ({"required": required} if required else {})


def required(rule: Rule) -> Rule:
    """The rule for a field that must be there and must not be null."""
    return Rule(rule.check, rule.schema, True, rule.expected)


def text(*, least: int = 0, most: int = MAX_TEXT, pattern: str | None = None, says: str | None = None) -> Rule:
    """Text of so many characters; `says` is what the pattern means, in words."""
    expected = f"text of {least} to {most} characters" if least else f"text of at most {most} characters"
    expected += f", {says}" if says else ""
    compiled = re.compile(pattern) if pattern else None

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str):
            refuse(path, value, expected)
        printable(value, path)
        if not least <= len(value) <= most or (compiled and not compiled.fullmatch(value)):
            refuse(path, value, expected)
        return value

    schema: dict[str, Any] = {"type": "string", "maxLength": most}
    schema |= {"minLength": least} if least else {}
    schema |= {"pattern": pattern} if pattern else {}
    return Rule(check, schema, expected=expected)


def trimmed(*, least: int = 0, most: int = MAX_TEXT) -> Rule:
    """Text without control characters and without white space at its ends (the wire's NOTRIM)."""
    return text(least=least, most=most, pattern=NOTRIM, says="without control characters or white space at its ends")


def identifier(most: int = 200) -> Rule:
    """An id that the caller brings: it stands in paths, so it has no `/ ? # %`, nor white space at its ends."""
    inner = trimmed(least=1, most=most)

    def check(value: Any, path: str) -> Any:
        inner.check(value, path)
        return usable_id(value, path)

    expected = f"{inner.expected} and without / ? # %"
    return Rule(check, {**inner.schema, "pattern": "^[^/?#%]+$"}, expected=expected)


def usable_id(value: str, path: str) -> str:
    """The id, where it can stand in a path; raises Invalid for one with `/ ? # %`, or made of dots only."""
    if any(character in value for character in _OUT_OF_PATHS) or not value.strip("."):
        raise Invalid(
            "field.id",
            f"{path} is {shown(value)}, but an id stands in addresses and must not contain / ? # % or be only dots.",
            "Replace such characters, for example by a dash.",
            path,
        )
    return value


def one_of(values: Iterable[str]) -> Rule:
    """One of the names."""
    names = list(values)
    expected = f"one of {', '.join(names)}"

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, str) or value not in names:
            refuse(path, value, expected, did_you_mean(value, names))
        return value

    return Rule(check, {"type": "string", "enum": names}, expected=expected)


def boolean() -> Rule:
    def check(value: Any, path: str) -> Any:
        if not isinstance(value, bool):
            refuse(path, value, "true or false")
        return value

    return Rule(check, {"type": "boolean"}, expected="true or false")


def integer(*, least: int = -(2**63), most: int = 2**63 - 1) -> Rule:
    """A whole number between both, as int (2.0 counts)."""
    expected = f"a whole number from {least} to {most}"

    def check(value: Any, path: str) -> Any:
        if isinstance(value, Decimal) and value.is_finite() and abs(value) < 2**64 and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            refuse(path, value, expected)
        return value

    return Rule(check, {"type": "integer", "minimum": least, "maximum": most}, expected=expected)


def number(*, least: Decimal | None = None, above: Decimal | None = None) -> Rule:
    """An exact decimal, at least `least`, more than `above`."""
    bounds = (f" of at least {least}" if least is not None else "") + (f" above {above}" if above is not None else "")
    expected = f"a number{bounds} with at most {MAX_DIGITS} digits before and after the point"

    def check(value: Any, path: str) -> Any:
        exact = exact_number(value, path, expected)
        if (least is not None and exact < least) or (above is not None and exact <= above):
            refuse(path, value, expected)
        return value

    schema: dict[str, Any] = {"type": "number"}
    # The document that describes us is written by others, who know no Decimal.
    schema |= {"minimum": float(least)} if least is not None else {}
    schema |= {"exclusiveMinimum": float(above)} if above is not None else {}
    return Rule(check, schema, expected=expected)


def exact_number(value: Any, path: str, expected: str = "a number") -> Decimal:
    """The JSON number as Decimal; raises Invalid for what is none, is not finite, or has absurdly many digits."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        refuse(path, value, expected)
    if isinstance(value, int):
        if abs(value) >= 10**MAX_DIGITS:
            refuse(path, value, expected)
        return Decimal(value)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DIGITS or value.adjusted() >= MAX_DIGITS:
        refuse(path, value, expected)
    return value


def day() -> Rule:
    """A calendar day; an instant is accepted too, as the wire's clients send both."""
    expected = f"a day as YYYY-MM-DD, from {EARLIEST.year} on"

    def check(value: Any, path: str) -> Any:
        found = read_day(value)
        if found is None or found < EARLIEST:
            refuse(path, value, expected)
        return value

    return Rule(check, {"type": "string", "format": "date"}, expected=expected)


def instant() -> Rule:
    """A moment with its offset from UTC."""
    expected = "a moment as 2026-01-31T12:00:00Z"

    def check(value: Any, path: str) -> Any:
        if read_instant(value) is None:
            refuse(path, value, expected)
        return value

    return Rule(check, {"type": "string", "format": "date-time"}, expected=expected)


def list_of(rule: Rule, *, least: int = 0, most: int = 10_000) -> Rule:
    """A list whose every item keeps the rule."""
    expected = f"a list of {least} to {most} items"

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, list) or not least <= len(value) <= most:
            refuse(path, value if not isinstance(value, list) else f"{len(value)} items", expected)
        return [rule.check(item, f"{path}[{index}]") for index, item in enumerate(value)]

    schema: dict[str, Any] = {"type": "array", "items": dict(rule.schema), "maxItems": most}
    return Rule(check, schema | ({"minItems": least} if least else {}), expected=expected)


def map_of(rule: Rule, *, most: int = 1000) -> Rule:
    """An object with any keys, whose every value keeps the rule."""
    expected = f"an object of at most {most} entries"

    def check(value: Any, path: str) -> Any:
        if not isinstance(value, dict) or len(value) > most:
            refuse(path, value if not isinstance(value, dict) else f"{len(value)} entries", expected)
        for name in value:
            printable(name, path)
        return {name: rule.check(inner, f"{path}.{name}") for name, inner in value.items()}

    return Rule(check, {"type": "object", "additionalProperties": dict(rule.schema)}, expected=expected)


def text_or_number(most: int = MAX_TEXT) -> Rule:
    """Text or an exact number: the value of a custom field."""
    words, figures = text(most=most), number()

    def check(value: Any, path: str) -> Any:
        return (words if isinstance(value, str) else figures).check(value, path)

    return Rule(check, {"oneOf": [dict(words.schema), dict(figures.schema)]}, expected="text or a number")


def object_of(shape: Shape) -> Rule:
    """A nested object."""
    return Rule(shape.check, shape.schema, expected="an object")


def anything() -> Rule:
    """Any JSON value whose texts are printable and whose numbers are of sane size."""

    def check(value: Any, path: str) -> Any:
        match value:
            case dict():
                for name, inner in value.items():
                    printable(name, path)
                    check(inner, f"{path}.{name}")
            case list():
                for index, inner in enumerate(value):
                    check(inner, f"{path}[{index}]")
            case str():
                printable(value, path)
            case None | bool():
                pass
            case _:
                exact_number(value, path)
        return value

    return Rule(check, {})


def read_day(value: Any) -> date | None:
    """`YYYY-MM-DD`, alone or at the front of a moment, or None."""
    if not isinstance(value, str) or not _DAY.match(value):
        return None
    try:
        return datetime.fromisoformat(value).date()
    except ValueError:
        return None


def read_instant(value: Any) -> datetime | None:
    """ISO 8601 with an offset or Z, as aware UTC, or None."""
    if not isinstance(value, str) or not _DAY.match(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def printable(value: str, path: str) -> None:
    """Raises Invalid for text with control characters, NUL above all, or broken surrogate pairs."""
    found = _UNPRINTABLE.search(value)
    if found:
        raise Invalid(
            "field.unprintable",
            f"{path} contains the control character U+{ord(found[0]):04X} at position {found.start() + 1}.",
            "Remove it; tabs and line ends are allowed.",
            path,
        )


def refuse(path: str, value: Any, expected: str, hint: str | None = None) -> NoReturn:
    """Raises Invalid in the one form in which every rule speaks."""
    name = path or "The body"
    raise Invalid("field.invalid", f"{name} is {shown(value)}, but must be {expected}.", hint, path or None)


def shown(value: Any, most: int = 80) -> str:
    """The value for a message, cut where it is long."""
    match value:
        case dict():
            return f"an object of {len(value)} entries"
        case list():
            return f"a list of {len(value)} items"
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() if abs(value) >= 10**most:
            return "a number of far too many digits"
        case str():
            told = f'"{_UNPRINTABLE.sub("�", value)}"'
        case _:
            told = str(value)
    return told if len(told) <= most else f"{told[: most - 1]}…"


def did_you_mean(given: Any, known: Iterable[str]) -> str | None:
    """`Did you mean …?` where a known name is near, without case, or None."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(str(given).lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[near[0]]}?" if near else None
