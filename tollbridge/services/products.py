"""Products: what the lines of bills are about. Bills keep the names of theirs, so a product may go at any time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain.catalog import PRODUCT
from tollbridge.services.catalog import Catalog
from tollbridge.store.schema import products


def _columns(body: Mapping[str, Any]) -> dict[str, Any]:
    return {"code": body["code"], "name": body["name"]}


PRODUCTS = Catalog(
    "product", products, PRODUCT, _columns, ("code",), "code", "code", words=("code", "name"), entity="product"
)
