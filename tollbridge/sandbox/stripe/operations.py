"""Every endpoint of the stand-in: method, path, parameters and what answers it. Data, and the look-up in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tollbridge.sandbox.stripe import catalogue, credit_notes, customers, events, invoices, lines, settling, tables
from tollbridge.sandbox.stripe.books import Books, Record
from tollbridge.sandbox.stripe.tables import Table

Handler = Callable[[Books, Record, Record], Record]


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint. `needs` are the required parameters."""

    method: str
    path: str
    table: Table
    handler: Handler
    needs: tuple[str, ...] = ()


def _operations() -> list[Operation]:
    get, post, delete = "GET", "POST", "DELETE"
    one = tables.EXPAND
    customer, product, rate = "/v1/customers/{customer}", "/v1/products/{id}", "/v1/tax_rates/{tax_rate}"
    invoice, item, note = "/v1/invoices/{invoice}", "/v1/invoiceitems/{invoiceitem}", "/v1/credit_notes/{id}"
    return [
        Operation(get, "/v1/account", one, catalogue.account),
        Operation(get, "/v1/customers", tables.CUSTOMER_LIST, customers.list_),
        Operation(post, "/v1/customers", tables.CUSTOMER_CREATE, customers.create),
        Operation(get, "/v1/customers/search", tables.SEARCH, customers.search, ("query",)),
        Operation(get, customer, one, customers.get),
        Operation(post, customer, tables.CUSTOMER_UPDATE, customers.update),
        Operation(delete, customer, tables.NO_INPUT, customers.delete),
        Operation(
            get, f"{customer}/balance_transactions", tables.BALANCE_TRANSACTION_LIST, customers.balance_transactions
        ),
        Operation(get, "/v1/products", tables.PRODUCT_LIST, catalogue.list_products),
        Operation(post, "/v1/products", tables.PRODUCT_CREATE, catalogue.create_product, ("name",)),
        Operation(get, product, one, catalogue.get_product),
        Operation(post, product, tables.PRODUCT_UPDATE, catalogue.update_product),
        Operation(delete, product, tables.NO_INPUT, catalogue.delete_product),
        Operation(get, "/v1/tax_rates", tables.TAX_RATE_LIST, catalogue.list_tax_rates),
        Operation(
            post,
            "/v1/tax_rates",
            tables.TAX_RATE_CREATE,
            catalogue.create_tax_rate,
            ("display_name", "inclusive", "percentage"),
        ),
        Operation(get, rate, one, catalogue.get_tax_rate),
        Operation(post, rate, tables.TAX_RATE_UPDATE, catalogue.update_tax_rate),
        Operation(get, "/v1/invoices", tables.INVOICE_LIST, invoices.list_),
        Operation(post, "/v1/invoices", tables.INVOICE_CREATE, invoices.create),
        Operation(get, "/v1/invoices/search", tables.SEARCH, invoices.search, ("query",)),
        Operation(get, invoice, one, invoices.get),
        Operation(post, invoice, tables.INVOICE_UPDATE, invoices.update),
        Operation(delete, invoice, tables.NO_INPUT, invoices.delete),
        Operation(post, f"{invoice}/add_lines", tables.ADD_LINES, lines.add, ("lines",)),
        Operation(post, f"{invoice}/update_lines", tables.UPDATE_LINES, lines.update_many, ("lines",)),
        Operation(post, f"{invoice}/remove_lines", tables.REMOVE_LINES, lines.remove, ("lines",)),
        Operation(get, f"{invoice}/lines", tables.LIST, lines.list_lines),
        Operation(post, f"{invoice}/lines/{{line_item_id}}", tables.LINE_UPDATE, lines.update_line),
        Operation(post, f"{invoice}/finalize", tables.INVOICE_FINALIZE, settling.finalize),
        Operation(post, f"{invoice}/send", one, settling.send),
        Operation(post, f"{invoice}/void", one, settling.void),
        Operation(post, f"{invoice}/mark_uncollectible", one, settling.mark_uncollectible),
        Operation(post, f"{invoice}/pay", tables.INVOICE_PAY, settling.pay),
        Operation(get, "/v1/invoiceitems", tables.ITEM_LIST, lines.list_items),
        Operation(post, "/v1/invoiceitems", tables.ITEM_CREATE, lines.create_item),
        Operation(get, item, one, lines.get_item),
        Operation(post, item, tables.ITEM_UPDATE, lines.update_item),
        Operation(delete, item, tables.NO_INPUT, lines.delete_item),
        Operation(get, "/v1/credit_notes", tables.CREDIT_NOTE_LIST, credit_notes.list_),
        Operation(post, "/v1/credit_notes", tables.CREDIT_NOTE_CREATE, credit_notes.create, ("invoice",)),
        Operation(get, note, one, credit_notes.get),
        Operation(post, note, tables.CREDIT_NOTE_UPDATE, credit_notes.update),
        Operation(post, f"{note}/void", one, credit_notes.void),
        Operation(get, "/v1/credit_notes/{credit_note}/lines", tables.LIST, credit_notes.list_lines),
        Operation(get, "/v1/events", tables.EVENT_LIST, events.list_),
        Operation(get, "/v1/events/{id}", one, events.get),
    ]


OPERATIONS = _operations()


def _tree() -> dict[str, Any]:
    """Operations by method and then by path segment; `{}` stands for any segment and comes last."""
    tree: dict[str, Any] = {}
    for operation in OPERATIONS:
        node = tree.setdefault(operation.method, {})
        for segment in operation.path.split("/")[1:]:
            node = node.setdefault("{}" if segment[0] == "{" else segment, {})
        node[""] = operation
    return tree


_TREE = _tree()


def find(method: str, path: str) -> tuple[Operation, Record] | None:
    """The operation and the ids in its path, or None."""
    node = _TREE.get(method, {})
    segments = path.split("/")[1:]
    for segment in segments:
        node = node.get(segment) or node.get("{}") or {}
    operation: Operation | None = node.get("")
    if operation is None or "" in segments:
        return None
    names = operation.path.split("/")[1:]
    return operation, {name[1:-1]: value for name, value in zip(names, segments, strict=True) if name[0] == "{"}
