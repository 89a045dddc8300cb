"""Forms out of options: each option of a connector's model is one field, whatever the system. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tollbridge.console.visit import SECRET, WHOLE, Form
from tollbridge.domain import json_text
from tollbridge.domain.errors import Invalid

SWITCH, CHOICE, NUMBER, DAY, TEXT, LINES, JSON, PASSWORD = "switch choice number day text lines json password".split()


@dataclass(frozen=True, slots=True)
class Field:
    """One field: how it is typed, and what stands in it. `name` is the option's, `input` that of the HTML field."""

    name: str
    title: str
    help: str
    kind: str
    required: bool
    value: str
    default: str = ""
    choices: tuple[str, ...] = ()
    kind_there: str = ""
    """The kind of things in the system of which it has the ids, where it can be asked for them."""

    @property
    def input(self) -> str:
        return f"{SECRET if self.kind == PASSWORD else 'option.'}{self.name}"

    @property
    def id(self) -> str:
        return f"field-{self.name}"


def fields_of(options: Iterable[Mapping[str, Any]], values: Mapping[str, Any]) -> list[Field]:
    """The fields of these options (`services.systems.options_of`), with the values that are set."""
    return [_field(option, values) for option in options]


def _field(option: Mapping[str, Any], values: Mapping[str, Any]) -> Field:
    name = option["name"]
    kind, choices = _kind(option)
    value = values.get(name, option.get("default"))
    return Field(
        name,
        _titled(name),
        option["description"],
        kind,
        option["required"],
        "" if kind == PASSWORD else _written(kind, value),
        _written(kind, option.get("default")),
        choices,
        option["schema"].get("choices", ""),
    )


def read(fields: Sequence[Field], form: Form) -> dict[str, Any]:
    """What was typed, as values of the options; what stands at its default is left out."""
    found: dict[str, Any] = {}
    for field in fields:
        text = form.text(field.input)
        if field.kind == SWITCH:
            text = "true" if form.on(field.input) else "false"
        elif field.kind == PASSWORD:
            text = str(form.data.get(field.input, ""))
        if (text != field.default and text) or (not text and field.default and field.kind in (LINES, TEXT)):
            found[field.name] = _value(field, text)
    return found


def _value(field: Field, text: str) -> Any:
    match field.kind:
        case "switch":
            return text == "true"
        case "number":
            return int(text) if WHOLE.fullmatch(text.removeprefix("-")) else text
        case "lines":
            return [line for line in (part.strip() for part in text.replace(",", "\n").splitlines()) if line]
        case "json":
            return as_json(text, field.name)
    return text


def as_json(text: str, name: str) -> Any:
    """JSON that somebody typed; raises Invalid."""
    try:
        return json_text.parse(text)
    except ValueError as error:
        raise Invalid("form.json", f"{name} is not JSON: {error}.", "Write one JSON value.", name) from None


def _written(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if kind == SWITCH:
        return "true" if value else "false"
    if kind == LINES:
        return "\n".join(str(each) for each in value)
    if kind == JSON:
        return json_text.dump(value, indent=2) if value else ""
    return str(value)


def _kind(option: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    if option["secret"]:
        return PASSWORD, ()
    schema = option["schema"]
    shapes = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    shape = shapes[0] if shapes else schema
    choices = tuple(str(each) for each in shape.get("enum", ()))
    if choices:
        return CHOICE, choices
    match shape.get("type"):
        case "boolean":
            return SWITCH, ()
        case "integer" | "number":
            return NUMBER, ()
        case "array" if shape.get("items", {}).get("type") == "string":
            return LINES, ()
        case "array" | "object":
            return JSON, ()
    return (DAY if shape.get("format") == "date" else TEXT), ()


def _titled(name: str) -> str:
    """`sendFrom` is `Send from`."""
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words[:1].upper() + words[1:]
