"""The stand-in against Stripe's contract: its own parameter tables, and what it answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest

from tests.sandbox.conftest import Client, Got, contract
from tollbridge.sandbox.stripe.operations import OPERATIONS, Operation
from tollbridge.sandbox.stripe.params import Arr, Bool, Inert, Int, Metadata, Number, Obj, Range, Text, Type

REQUESTS, RESPONSES = "stripe-2026-08-26.requests.json", "stripe-2026-08-26.responses.json"
NOT_STOOD_IN = re.compile(r"/v1/(balance|prices|webhook_endpoints|credit_notes/preview)(/.*)?")
NO_LIMIT = 10**9


def _named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def test_every_endpoint_of_the_contract_is_stood_in_for_or_named_as_left_out() -> None:
    paths = json.loads(contract(REQUESTS).read_text())["paths"]
    known = {f"{method.upper()} {path}" for path in paths for method in paths[path] if not NOT_STOOD_IN.fullmatch(path)}
    assert {_named(operation) for operation in OPERATIONS} == known


@pytest.mark.parametrize("operation", OPERATIONS, ids=_named)
def test_the_parameter_table_agrees_with_the_contract(operation: Operation) -> None:
    theirs = json.loads(contract(REQUESTS).read_text())["paths"][operation.path][operation.method.lower()]
    schema = _taken(theirs)
    assert set(operation.table) == set(schema["properties"])
    assert set(operation.needs) == set(schema.get("required", []))
    for name, kind in operation.table.items():
        _agrees(kind, schema["properties"][name], name)


def _taken(operation: Mapping[str, Any]) -> dict[str, Any]:
    query = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    return {
        "properties": {**form["properties"], **{each["name"]: each["schema"] for each in query}},
        "required": [*form.get("required", []), *(each["name"] for each in query if each.get("required"))],
    }


def _agrees(kind: Type, schema: Mapping[str, Any], name: str) -> None:
    if isinstance(kind, Inert):
        return
    options = [option for option in schema.get("anyOf", [schema]) if option.get("enum") != [""]]
    clearable = len(options) < len(schema.get("anyOf", [schema]))
    assert kind.clearable == clearable, f"{name} clearable"
    if isinstance(kind, Range):
        assert {option["type"] for option in options} == {"object", "integer"}, name
        return
    [option] = options
    match kind:
        case Text():
            assert option["type"] == "string", name
            assert set(kind.choices) == set(option.get("enum", ())), name
            assert (kind.limit or NO_LIMIT) == option.get("maxLength", NO_LIMIT), f"{name} limit"
        case Int():
            assert option["type"] == "integer", name
        case Number():
            assert option["type"] == "number" or option.get("format") == "decimal", name
        case Bool():
            assert option["type"] == "boolean", name
        case Metadata():
            assert option["additionalProperties"] == {"type": "string"}, name
        case Arr():
            _agrees(kind.item, option["items"], f"{name}[]")
        case Obj():
            assert set(kind.fields) == set(option["properties"]), name
            assert set(kind.needs) == set(option.get("required", [])), name
            for inner, inner_kind in kind.fields.items():
                _agrees(inner_kind, option["properties"][inner], f"{name}[{inner}]")


class Responses:
    """Validates answers, and remembers which operations it saw succeed."""

    def __init__(self) -> None:
        document = json.loads(contract(RESPONSES).read_text())
        self._shared = {"components": _plain(document["components"])}
        self._schemas = _plain(document["responses"])
        self._error = {"$ref": "#/components/schemas/error"}
        self.seen: set[str] = set()

    def check(self, method: str, template: str, got: Got) -> None:
        schema = self._schemas[template][method.lower()] if got.status == 200 else self._error
        validator = jsonschema_rs.validator_for({**self._shared, **schema})
        problems = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(got.body)]
        assert problems == [], f"{method} {template}"
        if got.status == 200:
            self.seen.add(f"{method} {template}")


def _plain(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema, closed: null where nullable, no unknown fields, but free maps and opaque objects."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    nullable = schema.get("nullable") is True
    result = {name: _plain(value) for name, value in schema.items() if name != "nullable"}
    if isinstance(schema.get("properties"), dict):
        result.setdefault("additionalProperties", False)
    return {"anyOf": [result, {"type": "null"}]} if nullable else result


async def test_every_answer_has_the_shape_that_the_contract_gives_it(client: Client) -> None:
    responses = Responses()

    async def call(method: str, template: str, form: Any = None, expect: int = 200, **ids: str) -> Got:
        got = await client.call(method, template.format(**ids), form)
        assert got.status == expect, got.body
        responses.check(method, template, got)
        return got

    await call("GET", "/v1/account")
    rich = {
        "name": "Ada",
        "email": "ada@example.com",
        "address[country]": "DE",
        "address[city]": "Bonn",
        "shipping[name]": "Ada",
        "shipping[address][city]": "Bonn",
        "tax_id_data[0][type]": "eu_vat",
        "tax_id_data[0][value]": "DE123456789",
        "invoice_settings[custom_fields][0][name]": "PO",
        "invoice_settings[custom_fields][0][value]": "7",
        "metadata[x]": "y",
        "preferred_locales[]": "de",
    }
    customer = (await call("POST", "/v1/customers", rich)).id
    await call("POST", "/v1/customers/{customer}", {"balance": "-5000", "phone": "1"}, customer=customer)
    await call("GET", "/v1/customers/{customer}", customer=customer)
    await call("GET", "/v1/customers", {"limit": "1"})
    product = (await call("POST", "/v1/products", {"name": "Seats", "images[]": "https://a.example/b.png"})).id
    await call("POST", "/v1/products/{id}", {"description": "d", "images": ""}, id=product)
    await call("GET", "/v1/products/{id}", id=product)
    await call("GET", "/v1/products", {"ids[]": product})
    rate_form = {"display_name": "VAT", "inclusive": "false", "percentage": "19", "tax_type": "vat"}
    rate = (await call("POST", "/v1/tax_rates", rate_form)).id
    await call("POST", "/v1/tax_rates/{tax_rate}", {"description": "d"}, tax_rate=rate)
    await call("GET", "/v1/tax_rates/{tax_rate}", tax_rate=rate)
    await call("GET", "/v1/tax_rates", {"active": "true"})

    terms = {"collection_method": "send_invoice", "days_until_due": "30"}
    draft_form = {"customer": customer, "currency": "eur", "default_tax_rates[]": rate, "metadata[b]": "1", **terms}
    draft = (await call("POST", "/v1/invoices", draft_form)).id
    lines = {"lines[0][amount]": "20000", "lines[0][tax_rates][]": rate, "lines[0][metadata][k]": "v"}
    price = {
        "lines[1][price_data][currency]": "eur",
        "lines[1][price_data][product]": product,
        "lines[1][price_data][unit_amount_decimal]": "0.125",
        "lines[1][quantity]": "1000",
        "lines[1][period][start]": "1",
        "lines[1][period][end]": "2",
    }
    added = await call("POST", "/v1/invoices/{invoice}/add_lines", {**lines, **price}, invoice=draft)
    line = added.body["lines"]["data"][0]["id"]
    one = {"lines[0][id]": line, "lines[0][description]": "d"}
    await call("POST", "/v1/invoices/{invoice}/update_lines", one, invoice=draft)
    path = "/v1/invoices/{invoice}/lines/{line_item_id}"
    await call("POST", path, {"amount": "20001"}, invoice=draft, line_item_id=line)
    second = added.body["lines"]["data"][1]["id"]
    gone = {"lines[0][id]": second, "lines[0][behavior]": "delete"}
    await call("POST", "/v1/invoices/{invoice}/remove_lines", gone, invoice=draft)
    await call("GET", "/v1/invoices/{invoice}/lines", invoice=draft)
    await call("POST", "/v1/invoices/{invoice}", {"description": "memo"}, invoice=draft)
    await call("POST", "/v1/invoices/{invoice}/finalize", invoice=draft)
    await call("POST", "/v1/invoices/{invoice}/send", invoice=draft)
    await call("GET", "/v1/invoices/{invoice}", invoice=draft)
    await call("GET", "/v1/invoices", {"customer": customer})
    await call("GET", "/v1/customers/{customer}/balance_transactions", customer=customer)
    await client.forward(10)
    await call("GET", "/v1/customers/search", {"query": "metadata['x']:'y'", "expand[]": "total_count"})
    await call("GET", "/v1/invoices/search", {"query": "metadata['b']:'1' AND status:'open'"})

    note_form = {
        "invoice": draft,
        "lines[0][type]": "invoice_line_item",
        "lines[0][invoice_line_item]": line,
        "lines[0][amount]": "100",
        "lines[1][type]": "custom_line_item",
        "lines[1][unit_amount_decimal]": "1.5",
        "lines[1][quantity]": "2",
        "lines[1][description]": "goodwill",
    }
    note = (await call("POST", "/v1/credit_notes", note_form)).id
    await call("POST", "/v1/credit_notes/{id}", {"memo": "m"}, id=note)
    await call("GET", "/v1/credit_notes/{id}", id=note)
    await call("GET", "/v1/credit_notes", {"invoice": draft})
    await call("GET", "/v1/credit_notes/{credit_note}/lines", credit_note=note)
    await call("POST", "/v1/credit_notes/{id}/void", id=note)
    await call("POST", "/v1/invoices/{invoice}/mark_uncollectible", invoice=draft)
    await call("POST", "/v1/invoices/{invoice}/void", invoice=draft)

    tax = {"customer": customer, "currency": "eur", "automatic_tax[enabled]": "true"}
    taxed = (await call("POST", "/v1/invoices", tax)).id
    item_form = {"customer": customer, "invoice": taxed, "unit_amount_decimal": "10.5", "quantity_decimal": "1.5"}
    item = (await call("POST", "/v1/invoiceitems", item_form)).id
    await call("POST", "/v1/invoiceitems/{invoiceitem}", {"amount": "10000"}, invoiceitem=item)
    await call("GET", "/v1/invoiceitems/{invoiceitem}", invoiceitem=item)
    await call("GET", "/v1/invoiceitems", {"invoice": taxed})
    await call("POST", "/v1/invoices/{invoice}/pay", {"paid_out_of_band": "true"}, invoice=taxed)
    pending = (await call("POST", "/v1/invoiceitems", {"customer": customer, "amount": "5", "currency": "eur"})).id
    await call("DELETE", "/v1/invoiceitems/{invoiceitem}", invoiceitem=pending)
    await call("GET", "/v1/invoiceitems/{invoiceitem}", expect=404, invoiceitem=pending)

    empty = (await call("POST", "/v1/invoices", {"customer": customer})).id
    await call("DELETE", "/v1/invoices/{invoice}", invoice=empty)
    await call("DELETE", "/v1/products/{id}", id=product)
    await call("DELETE", "/v1/customers/{customer}", customer=customer)
    await call("GET", "/v1/customers/{customer}", customer=customer)
    await call("POST", "/v1/customers", {"nickname": "A"}, expect=400)

    event = (await call("GET", "/v1/events", {"types[]": "customer.deleted"})).body["data"][0]["id"]
    await call("GET", "/v1/events", {"type": "invoice.*", "limit": "100"})
    await call("GET", "/v1/events/{id}", id=event)
    await call("GET", "/v1/events/{id}", expect=404, id="evt_none")

    assert responses.seen == {_named(operation) for operation in OPERATIONS}
