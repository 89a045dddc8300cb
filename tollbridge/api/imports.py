"""Bulk imports of newline-delimited JSON. An extension."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from tollbridge.api.wire import ORG, Json, TheCaller, TheParts
from tollbridge.services import imports
from tollbridge.services.imports import Noun, RefusedLine, Report

router = APIRouter(prefix=f"{ORG}/imports", tags=["Imports"])

_BODY = {"required": True, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}


@router.post("/{noun}", openapi_extra={"x-extension": True, "requestBody": _BODY})
async def import_lines(parts: TheParts, caller: TheCaller, noun: Noun, request: Request) -> Json:
    """Create or replace, one JSON object a line; the answer says of each line what became of it."""
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
