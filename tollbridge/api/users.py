"""Users, the people who use the Console. Making, deleting and signing them out are extensions."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from tollbridge.api.wire import (
    ORG,
    Body,
    Json,
    Many,
    MayAdminister,
    MayConfigure,
    MayReadBilling,
    Paging200,
    TheParts,
    described,
    entity,
    listed,
    page,
    timestamp,
)
from tollbridge.domain.access import Role
from tollbridge.domain.people import Purpose
from tollbridge.domain.policies import statements
from tollbridge.services import users
from tollbridge.store.records import Record
from tollbridge.store.users import Session

router = APIRouter(prefix=f"{ORG}/users", tags=["Users"])
BARE = described(extension=True)


@router.get("")
async def list_users(
    parts: TheParts,
    caller: MayConfigure,
    paging: Paging200,
    ids: Many = [],  # noqa: B006
) -> Json:
    return page(await users.page(parts.db, caller, paging.size, paging.token, ids=ids), user)


@router.post("", openapi_extra=described(users.BODY, extension=True))
async def create_user(parts: TheParts, caller: MayAdminister, body: Body) -> Json:
    """A user who comes in by single sign-on, or by a link made later; invitations make user and link at once."""
    return Json(user(await users.create(parts.db, caller, body)))


@router.get("/me")
async def get_me(parts: TheParts, caller: MayReadBilling) -> Json:
    """The caller, a user or a service user, and the organization."""
    me = await users.me(parts.db, caller)
    made = timestamp(me.org_created_at)
    organization = {"id": me.org_id, "orgId": me.org_id, "organizationName": me.org_name, "dtCreated": made}
    told = {
        "organization": {**organization, "status": "ACTIVE"},
        "user": user(me.user) if me.user else None,
        "serviceUser": entity(me.service_user) if me.service_user else None,
    }
    return Json({name: value for name, value in told.items() if value is not None})


@router.get("/{id}")
async def retrieve_user(parts: TheParts, caller: MayConfigure, id: str) -> Json:
    return Json(user(await users.retrieve(parts.db, caller, id)))


@router.put("/{id}", openapi_extra=described(users.CHANGE))
async def update_user(parts: TheParts, caller: MayAdminister, id: str, body: Body) -> Json:
    return Json(user(await users.update(parts.db, caller, id, body)))


@router.delete("/{id}", openapi_extra=BARE)
async def delete_user(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return Json(user(await users.delete(parts.db, caller, id)))


@router.get("/{id}/permissions")
async def get_user_permissions(parts: TheParts, caller: MayConfigure, id: str, paging: Paging200) -> Json:
    """The role as a managed permission policy; the wire declares this answer as one object, not as a page."""
    role = (await users.retrieve(parts.db, caller, id))["role"]
    return Json({"id": role, "name": role, "managedPolicy": True, "permissionPolicy": statements(Role(role))})


@router.get("/{id}/usergroups")
async def get_user_groups(parts: TheParts, caller: MayConfigure, id: str, paging: Paging200) -> Json:
    """The role as a group, which is all the groups that there are."""
    role = (await users.retrieve(parts.db, caller, id))["role"]
    return Json({"id": role, "name": role})


@router.put("/{id}/password/resend")
async def resend_password(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    """A link by which the user sets a new password. It is shown to the caller this once."""
    made = await users.make_link(parts.db, parts.settings, caller, id, Purpose.RESET)
    return Json({"link": made.url, "dtExpiry": timestamp(made.expires_at)}, headers={"cache-control": "no-store"})


@router.get("/{id}/sessions", openapi_extra=BARE)
async def list_user_sessions(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    return listed([_session(each) for each in await users.sessions(parts.db, caller, id)])


@router.delete("/{id}/sessions", openapi_extra=BARE)
async def end_user_sessions(parts: TheParts, caller: MayAdminister, id: str) -> Json:
    """Sign the user out everywhere."""
    return Json({"ended": await users.end_sessions(parts.db, caller, id)})


@router.delete("/{id}/sessions/{sessionId}", openapi_extra=BARE)
async def end_user_session(parts: TheParts, caller: MayAdminister, id: str, sessionId: str) -> Json:
    return Json({"ended": await users.end_sessions(parts.db, caller, id, sessionId)})


def user(record: Record) -> dict[str, Any]:
    """A user on the wire: what the role allows stands beside the role."""
    return entity(
        record,
        organizations=[record.org_id],
        supportUser=False,
        dtEndAccess=timestamp(record["end_access"]),
        permissionPolicy=statements(Role(record["role"])),
        accepted=record["accepted_at"] is not None,
        singleSignOn=record["subject"] is not None,
    )


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "way": session.way,
        "address": session.address,
        "agent": session.agent,
        "dtCreated": timestamp(session.created_at),
        "dtLastSeen": timestamp(session.seen_at),
        "dtExpiry": timestamp(session.ends_at),
    }
