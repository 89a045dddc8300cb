"""Roles as the wire tells them: managed permission policies, one for each role.

What a role may do is `domain.access`'s; the wire's actions have no words for all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tollbridge.domain.access import Role

ACTIONS: Mapping[Role, tuple[str, ...]] = {
    Role.ADMINISTRATOR: ("ALL",),
    Role.OPERATOR: ("CONFIG_CREATE", "CONFIG_RETRIEVE", "CONFIG_UPDATE", "CONFIG_DELETE"),
    Role.FINANCE: ("CONFIG_RETRIEVE", "CONFIG_UPDATE"),
    Role.VIEWER: ("CONFIG_RETRIEVE",),
    Role.SOURCE: ("CONFIG_CREATE", "CONFIG_RETRIEVE", "CONFIG_UPDATE", "CONFIG_DELETE"),
}


def statements(role: Role) -> list[dict[str, Any]]:
    """What the policy of the role allows."""
    return [{"effect": "ALLOW", "action": list(ACTIONS[role]), "resource": ["*"]}]
