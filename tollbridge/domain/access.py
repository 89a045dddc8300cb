"""Roles and what each may do: the one table that decides, for every route, who may come in.

Knows no route and no person; the API says of each route which permission it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from tollbridge.domain.errors import Forbidden


class Permission(StrEnum):
    """What a route needs."""

    READ_BILLING = "read-billing"
    """Read accounts, products and bills."""
    WRITE_BILLING = "write-billing"
    """Create, replace and delete accounts, products and bills; submit events."""
    APPROVE = "approve"
    """Approve bills, take that back, and lock them."""
    READ = "read"
    """Read integrations, runs, mappings, events, alerts and reports."""
    MAP = "map"
    """Write external mappings."""
    DELIVER = "deliver"
    """Replay and resend runs, send what was not sent, decide what becomes of bills that changed, and work on alerts."""
    CONFIGURE = "configure"
    """Write integrations and the organization's configuration; read who the users are, to choose whom to notify."""
    CREDENTIALS = "credentials"
    """Read, write and check credentials."""
    ADMINISTER = "administer"
    """Read and write users, service users and their access keys; read the audit log; erase a person's data."""


class Role(StrEnum):
    """What a service user is, and each of its access keys; and, but for `source`, what a person may be."""

    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    FINANCE = "finance"
    VIEWER = "viewer"
    SOURCE = "source"


_READS = frozenset({Permission.READ_BILLING, Permission.READ})

GRANTS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission) - {Permission.ADMINISTER},
    Role.FINANCE: _READS | {Permission.APPROVE, Permission.MAP, Permission.DELIVER},
    Role.VIEWER: _READS,
    # It reads what it writes: ids, versions, and whether a bill is there already.
    Role.SOURCE: frozenset({Permission.READ_BILLING, Permission.WRITE_BILLING}),
}


def demand(role: Role, permission: Permission) -> None:
    """Raises Forbidden, naming the roles that may, where this one may not."""
    if permission not in GRANTS[role]:
        able = ", ".join(each.value for each in Role if permission in GRANTS[each])
        raise Forbidden(
            "access.role",
            f"This call needs the permission {permission}, which the role {role} does not have.",
            f"Use an access key of a service user with one of these roles: {able}.",
        )
