"""Who asks: the organization and the principal that every use case is given."""

from __future__ import annotations

from dataclasses import dataclass

from tollbridge.domain.access import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """`principal` is what audit fields say, prefixed by kind: `SERVICE_USER_<id>`, `SYSTEM`; who works on this machine
    is an administrator."""

    org_id: str
    principal: str
    role: Role = Role.ADMINISTRATOR
