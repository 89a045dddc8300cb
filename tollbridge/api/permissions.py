"""That every route says what its caller must be permitted: checked when the app is made, told in our OpenAPI document.

The check of a caller itself is `wire.Needs`; which role has which permission stands in `domain.access`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from tollbridge.api.wire import Needs
from tollbridge.domain.access import Permission

OPEN = frozenset({"/healthz", "/readyz", "/metrics", "/oauth/token"})
"""The only addresses that may be reached without a token; they belong to no organization."""


def routes_of(routers: Iterable[APIRouter]) -> Iterator[APIRoute]:
    return (route for router in routers for route in router.routes if isinstance(route, APIRoute))


def permission_of(route: APIRoute) -> Permission | None:
    """What the route declares, or None."""
    return next(_declared(route.dependant), None)


def declare(routers: Iterable[APIRouter]) -> None:
    """Write each route's permission into its description; raises where one declares none and is not open."""
    for route in routes_of(routers):
        permission = permission_of(route)
        if permission is not None:
            route.openapi_extra = {**(route.openapi_extra or {}), "x-permission": permission.value}
        elif route.path not in OPEN:
            raise LookupError(
                f"{route.name} ({route.path}) declares no permission: give its caller one of the May… types of wire.py."
            )


def _declared(dependant: Dependant) -> Iterator[Permission]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Needs):
            yield inner.call.permission
        yield from _declared(inner)
