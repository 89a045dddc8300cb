"""Bulk imports of newline-delimited JSON. An extension."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from fastapi import APIRouter, Request

from tollbridge.api.wire import ORG, Json, MayMap, MayWriteBilling, TheParts
from tollbridge.services import imports
from tollbridge.services.caller import Caller
from tollbridge.services.imports import Noun, RefusedLine, Report
from tollbridge.services.parts import Parts

router = APIRouter(prefix=f"{ORG}/imports", tags=["Imports"])

BillingNoun: TypeAlias = Literal[Noun.ACCOUNTS, Noun.PRODUCTS, Noun.BILLS, Noun.EVENTS]
_BODY = {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}


_EXTRA = {"x-extension": True, "requestBody": _BODY}


@router.post(f"/{Noun.EXTERNAL_MAPPINGS}", openapi_extra=_EXTRA)
async def import_external_mappings(parts: TheParts, caller: MayMap, request: Request) -> Json:
    """Create or replace, one JSON object a line; the answer says of each line what became of it."""
    return await _take_in(parts, caller, Noun.EXTERNAL_MAPPINGS, request)


@router.post("/{noun}", openapi_extra=_EXTRA)
async def import_lines(parts: TheParts, caller: MayWriteBilling, noun: BillingNoun, request: Request) -> Json:
    """Create or replace, one JSON object a line; the answer says of each line what became of it."""
    return await _take_in(parts, caller, Noun(noun), request)


async def _take_in(parts: Parts, caller: Caller, noun: Noun, request: Request) -> Json:
    return Json(_wire(await imports.take_in(parts.db, caller, noun, request.stream())))


def _wire(report: Report) -> dict[str, Any]:
    unchanged = sum(put.outcome == "unchanged" for _, put in report.puts)
    return {
        "accepted": len(report.puts) - unchanged,
        "unchanged": unchanged,
        "refused": len(report.refused),
        "results": [{"line": line, "id": put.id, "outcome": put.outcome} for line, put in report.puts],
        "refusals": [_refusal(refused) for refused in report.refused],
        "decisions": [
            {"integrationConfigId": integration, "decision": verdict, "bills": count}
            for (integration, verdict), count in sorted(report.decisions.items())
        ],
    }


def _refusal(refused: RefusedLine) -> dict[str, Any]:
    told = {
        "line": refused.line,
        "id": refused.id,
        "code": refused.refusal.code,
        "message": refused.refusal.message,
        "hint": refused.refusal.hint,
        "field": refused.refusal.field,
    }
    return {name: value for name, value in told.items() if value is not None}
