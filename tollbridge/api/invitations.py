"""Invitations: a user who has not chosen a password yet, and the link by which they do. Its id is the user's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import ORG, Body, Json, MayAdminister, Paging200, TheParts, described, entity, page, timestamp
from tollbridge.services import users
from tollbridge.store.records import Record

router = APIRouter(prefix=f"{ORG}/invitations", tags=["Users"])


@router.get("")
async def list_invitations(parts: TheParts, caller: MayAdminister, paging: Paging200) -> Json:
    return page(await users.page(parts.db, caller, paging.size, paging.token, invited=True), _invitation)


@router.post("", openapi_extra=described(users.INVITATION))
async def create_invitation(parts: TheParts, caller: MayAdminister, body: Body) -> Json:
    """Invite somebody, or again who did not accept yet. `link` is shown to the caller this once."""
    made = await users.invite(parts.db, parts.settings, caller, body)
    return Json({**_invitation(made.user), "link": made.url}, headers={"cache-control": "no-store"})


@router.get("/{id}")
async def retrieve_invitation(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return Json(_invitation(await users.retrieve_invited(parts.db, caller, id)))


def _invitation(record: Record) -> dict[str, Any]:
    return entity(
        record,
        accepted=record["accepted_at"] is not None,
        invitingPrincipalId=record.created_by.rpartition("USER_")[2],
        permissionPolicyIds=[record["role"]],
        dtExpiry=timestamp(record["invited_until"]),
        dtEndAccess=timestamp(record["end_access"]),
    )
