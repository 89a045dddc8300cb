"""The HTTP app: which nouns it serves. What connects it to a database and a key is in wiring."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI

from tollbridge.api import (
    accounts,
    alerts,
    audit_log,
    bill_config,
    bills,
    credentials,
    deliveries,
    errors,
    events,
    external_mappings,
    health,
    imports,
    integrations,
    invitations,
    line_items,
    mapping_configuration,
    metrics,
    notifications,
    oauth,
    openapi,
    permissions,
    products,
    runs,
    scheduled_events,
    sending,
    service_users,
    users,
    webhooks,
)

ROUTERS = (
    health.router,
    metrics.router,
    oauth.router,
    service_users.router,
    users.router,
    invitations.router,
    accounts.router,
    products.router,
    bills.router,
    bill_config.router,
    sending.router,
    deliveries.router,
    line_items.router,
    external_mappings.router,
    mapping_configuration.router,
    imports.router,
    credentials.router,
    integrations.router,
    notifications.router,
    webhooks.router,
    runs.router,
    alerts.router,
    events.router,
    scheduled_events.router,
    audit_log.router,
)


_ERROR = {
    "description": "Refused, or an incident on our side.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


def create_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """The app; `lifespan` puts the connected parts into `app.state.parts` before the first request."""
    app = FastAPI(
        title="Tollbridge",
        description="Operations marked x-extension are ours; the others are those of m3ter's public REST API.",
        lifespan=lifespan,
        redirect_slashes=False,
        responses={"default": _ERROR},
        docs_url=None,
        redoc_url=None,
    )
    permissions.declare(ROUTERS)
    for router in ROUTERS:
        app.include_router(router)
    openapi.describe(app, ROUTERS)
    errors.install(app)
    return app
