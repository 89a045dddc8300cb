"""Products. Extension: a new product may bring its own id."""

from __future__ import annotations

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayReadBilling,
    MayWriteBilling,
    Paging200,
    TheParts,
    described,
    entity,
    page,
)
from tollbridge.services.products import PRODUCTS

router = APIRouter(prefix=f"{ORG}/products", tags=["Products"])


@router.get("")
async def list_products(
    parts: TheParts,
    caller: MayReadBilling,
    paging: Paging200,
    ids: Many = [],  # noqa: B006
    codes: Many = [],  # noqa: B006
) -> Json:
    return page(await PRODUCTS.page(parts.db, caller, {"id": ids, "code": codes}, paging.size, paging.token))


@router.post("", openapi_extra=described(PRODUCTS.shape))
async def create_product(parts: TheParts, caller: MayWriteBilling, body: Body) -> Json:
    return Json(entity(await PRODUCTS.create(parts.db, caller, body)))


@router.get("/{id}")
async def retrieve_product(parts: TheParts, caller: MayReadBilling, id: str) -> Json:
    return Json(entity(await PRODUCTS.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(PRODUCTS.shape))
async def update_product(parts: TheParts, caller: MayWriteBilling, id: str, body: Body) -> Json:
    return Json(entity(await PRODUCTS.update(parts.db, caller, id, body)))


@router.delete("/{id}")
async def delete_product(parts: TheParts, caller: MayWriteBilling, id: str) -> Json:
    return Json(entity(await PRODUCTS.delete(parts.db, caller, id)))
