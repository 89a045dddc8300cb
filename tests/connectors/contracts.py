"""Vendors' request contracts: find the one of a connector, close its schemas, and hold a request against it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
import pytest

from tollbridge.domain import json_text
from tollbridge.domain.flows import Request

FOLDER = Path(os.environ.get("TOLLBRIDGE_CONTRACTS", Path(__file__).parents[3] / "shared" / "contracts"))
_FORM = "application/x-www-form-urlencoded"
_INTEGER = re.compile(r"-?\d+")
_FRACTION = re.compile(r"-?\d+\.\d+")


class Contract:
    """One OpenAPI 3.0 document of requests."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._operations = [
            (re.compile(re.sub(r"\{\w+\}", "([^/]+)", path)), method.upper(), operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def complaints(self, request: Request) -> list[str]:
        """What the contract has against the request; empty where it agrees."""
        operation = self._operation(request)
        if operation is None:
            return [f"{request.method} {request.path} is no operation"]
        query = _object(operation.get("parameters", []))
        body = operation.get("requestBody", {}).get("content", {}).get(_FORM, {}).get("schema", {"properties": {}})
        return [
            *_complaints("query", query, nested(request.query)),
            *_complaints("form", body, nested(request.form or ())),
        ]

    def _operation(self, request: Request) -> Mapping[str, Any] | None:
        # A path with fewer variables comes first: /customers/search is not the customer "search".
        fitting = [
            (pattern.groups, operation)
            for pattern, method, operation in self._operations
            if method == request.method and pattern.fullmatch(request.path)
        ]
        return min(fitting, key=lambda each: each[0])[1] if fitting else None


@cache
def contract_of(connector_key: str) -> Contract:
    """The contract of the connector's vendor; skips the test where there is none."""
    found = sorted(FOLDER.glob(f"{connector_key}-*.requests.json"))
    if not found:
        pytest.skip(f"no request contract of {connector_key} in {FOLDER}; set TOLLBRIDGE_CONTRACTS")
    return Contract(json_text.parse(found[-1].read_bytes()))


def nested(pairs: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Bracket notation read back: the opposite of `form_pairs`, with lists and texts only."""
    root: dict[str, Any] = {}
    for name, text in pairs:
        first, *rest = [unquote(part.rstrip("]")) for part in name.split("[")]
        place, key = root, first
        for part in rest:
            place = place.setdefault(key, {})
            key = part
        assert key not in place, f"{name} stands twice"
        place[key] = text
    return {name: _listed(value) for name, value in root.items()}


def closed(schema: Any) -> Any:
    """The schema as JSON Schema whose objects take no unknown fields."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {name: closed(value) for name, value in schema.items() if name != "nullable"}
    if isinstance(schema.get("properties"), Mapping):
        result["properties"] = {name: closed(value) for name, value in schema["properties"].items()}
        result.setdefault("additionalProperties", False)
    return {"anyOf": [result, {"type": "null"}]} if schema.get("nullable") is True else result


def _object(parameters: list[Mapping[str, Any]]) -> dict[str, Any]:
    of_query = [each for each in parameters if each["in"] == "query"]
    return {
        "type": "object",
        "properties": {each["name"]: each["schema"] for each in of_query},
        "required": [each["name"] for each in of_query if each.get("required")],
    }


def _complaints(place: str, schema: Mapping[str, Any], value: Mapping[str, Any]) -> list[str]:
    validator = jsonschema_rs.validator_for(closed(schema))
    return [f"{place} {error.instance_path}: {error.message}" for error in validator.iter_errors(typed(schema, value))]


def typed(schema: Mapping[str, Any], value: Any) -> Any:
    """Texts of a form as the types that the schema wants, where the text is one of that type."""
    for option in schema.get("anyOf", ()):
        if _fits(option, value):
            return typed(option, value)
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return {name: typed(inner.get(name, {}), each) for name, each in value.items()}
    if isinstance(value, list):
        return [typed(schema.get("items", {}), each) for each in value]
    if schema.get("type") in ("integer", "number") and _INTEGER.fullmatch(value):
        return int(value)
    if schema.get("type") == "number" and _FRACTION.fullmatch(value):
        return float(value)
    if schema.get("type") == "boolean" and value in ("true", "false"):
        return value == "true"
    return value


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    if isinstance(value, (dict, list)):
        return bool(schema.get("type") == ("object" if isinstance(value, dict) else "array"))
    return schema.get("type") not in ("object", "array") and ("enum" not in schema or value in schema["enum"])


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {name: _listed(each) for name, each in value.items()}
    if inner and list(inner) == [str(index) for index in range(len(inner))]:
        return list(inner.values())
    return inner
