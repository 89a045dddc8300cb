"""Our OpenAPI document: what FastAPI sees of the routes, and what the answers look like, which it cannot see.

Describes; decides nothing. Answers that are not described here are objects of the operation's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI

from tollbridge.api.permissions import routes_of
from tollbridge.api.wire import ORG
from tollbridge.domain import bill_shape
from tollbridge.domain.alerts import AlertState, AlertType, Severity
from tollbridge.domain.audit import Action
from tollbridge.domain.billing import BillStatus
from tollbridge.domain.catalog import ACCOUNT, BILL_CONFIG, EXTERNAL_MAPPING, PRODUCT
from tollbridge.domain.event_types import Category
from tollbridge.domain.fields import Shape
from tollbridge.domain.rules import RULE
from tollbridge.domain.runs import RunState, RunStatus
from tollbridge.domain.schedules import SCHEDULED_EVENT
from tollbridge.services import integrations, service_users, users, webhooks

Schema = Mapping[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_AUDIT: Mapping[str, Schema] = {
    "id": _TEXT,
    "version": _COUNT,
    "dtCreated": _MOMENT,
    "createdBy": _TEXT,
    "dtLastModified": _MOMENT,
    "lastModifiedBy": _TEXT,
}


def _object(properties: Mapping[str, Schema], *required: str) -> Schema:
    return {"type": "object", "properties": dict(properties)} | ({"required": list(required)} if required else {})


def _entity(shape: Shape, more: Mapping[str, Schema] | None = None) -> Schema:
    return _object({**shape.schema["properties"], **_AUDIT, **(more or {})}, "id", "version")


def _texts(names: str) -> dict[str, Schema]:
    return dict.fromkeys(names.split(), _TEXT)


def _one_of(names: Iterable[str]) -> Schema:
    return {"type": "string", "enum": [str(name) for name in names]}


_BILL = {
    "revision": _COUNT,
    "status": _one_of(BillStatus),
    "locked": _FLAG,
    "approvedBy": _TEXT,
    "dtApproved": _MOMENT,
    "lockedBy": _TEXT,
    "dtLocked": _MOMENT,
    "lineItems": {"type": "array", "items": {"$ref": "#/components/schemas/LineItem"}},
}
_RUN = {
    "id": _TEXT,
    "status": _one_of(RunStatus),
    "state": _one_of(RunState),
    "dtStarted": _MOMENT,
    "dtCompleted": _MOMENT,
    "attempt": _COUNT,
    "revision": _COUNT,
    **_texts("entityType entityId destination destinationId error url externalId parentIntegrationRunId hint note"),
    **_texts("flow system holdReason faultKind faultCode accountId integrationId credentialId replayOf currency"),
    **_texts("eventId messageId"),
}
_ERROR_EVENT = {"eventTime": _MOMENT, **_texts("id eventName runId accountId code message action")}
_INTEGRATION = {
    "authorized": _FLAG,
    "enabled": _FLAG,
    "disabledReason": _TEXT,
    "errorsInARow": {**_COUNT, "description": "Successive error events that count, since the last success."},
    "disableAfter": {**_COUNT, "description": "After so many of them it is disabled; 0: never."},
    "errorEvents": {
        **_object({"count": _COUNT, "latest": {"type": "array", "items": _object(_ERROR_EVENT)}}),
        "description": "Only of a single configuration: error events that are not marked as actioned.",
    },
    "heldRuns": {
        **_object({"count": _COUNT, "totals": _object({})}),
        "description": "Only of a single configuration: what is held since it is disabled, with sums by currency.",
    },
}
_INVITATION = {"accepted": _FLAG, **_texts("invitingPrincipalId link")}
_KEY = {"id": _TEXT, "apiKey": _TEXT, "serviceUserId": _TEXT, "active": _FLAG, "dtCreated": _MOMENT}

_SHOWN = {**_TEXT, "description": "Only with TOLLBRIDGE_ECHO_WEBHOOK_SECRETS."}
_WEBHOOK_CREDENTIAL = _object(
    {
        **_AUDIT,
        **_texts("name type destination destinationId"),
        "previousSecretUntil": _MOMENT,
        "apiKey": _SHOWN,
        "secret": _SHOWN,
    },
    "id",
    "type",
    "destination",
)
_NOTE = {"dtCreated": _MOMENT, "createdBy": _TEXT, "text": _TEXT}
_LETTER = {**_texts("channel recipient change state error"), "attempts": _COUNT, "dtCreated": _MOMENT}
_ALERT = {
    "id": _TEXT,
    "version": _COUNT,
    "type": _one_of(AlertType),
    "severity": _one_of(Severity),
    "state": _one_of(AlertState),
    "count": {**_COUNT, "description": "How often it showed since it was opened, or of how many things it tells."},
    **dict.fromkeys("dtCreated dtOpened dtLastModified dtClosed".split(), _MOMENT),
    **_texts("description remedy cause faultCode assignee integrationConfigId credentialId runId eventId"),
    "notes": {"type": "array", "items": _object(_NOTE), "description": "Only of a single alert."},
    "told": {"type": "array", "items": _object(_LETTER), "description": "Only of a single alert: who was told."},
}

_STUCK: dict[str, Any] = {
    "failedRuns": {**_COUNT, "description": "Runs that failed for this cause and wait to be sent again."},
    "heldRuns": {**_COUNT, "description": "Runs that are held because of it."},
    "totals": {"type": "object", "description": "The sums of their bills by currency."},
}

COMPONENTS: Mapping[str, Schema] = {
    "Account": _entity(ACCOUNT),
    "AccessKey": _object({**_KEY, "apiSecret": {**_TEXT, "description": "Only where the key was just made."}}, "id"),
    "Alert": _object(_ALERT, "id", "version", "type", "severity", "state", "description", "count"),
    "AuditEntry": _object(
        {
            "id": _TEXT,
            "dtOccurred": _MOMENT,
            "action": _one_of(Action),
            "before": _object({}),
            "after": _object({}),
            **_texts("principal entity entityId requestId address"),
        },
        "id",
        "dtOccurred",
        "principal",
        "action",
        "entity",
        "entityId",
    ),
    "Bill": _entity(bill_shape.BILL, _BILL),
    "BillConfig": _entity(BILL_CONFIG),
    "Credential": _object(
        {
            **_AUDIT,
            **_texts("name type destination status error tenantId tenantName"),
            "dtChecked": _MOMENT,
            "tenants": {
                "type": "array",
                "items": _object(_texts("id label")),
                "description": "What the consent opens, where a person has to choose one of it.",
            },
            "dtExpiry": {**_MOMENT, "description": "When it ends, where somebody knows: people are told before."},
        },
        "id",
    ),
    "Error": _object(
        {
            "message": {**_TEXT, "description": "What happened, and to what."},
            "code": {**_TEXT, "description": "Stable, for programs."},
            "hint": {**_TEXT, "description": "What to do now."},
            "field": {**_TEXT, "description": "Path of the field that is not right."},
        },
        "message",
    ),
    "Event": _object(
        {
            **_texts("id eventName accountId resourceId integrationConfigId runId"),
            "eventTime": _MOMENT,
            "eventType": _one_of(Category),
            "dtActioned": {"type": ["string", "null"], "format": "date-time"},
            "dtCreated": _MOMENT,
            "m3terEvent": {"type": "object"},
            "notificationIds": _TEXTS,
            "notificationCodes": _TEXTS,
            "outcome": _one_of(("created", "unchanged")),
        },
        "id",
        "dtActioned",
        "eventName",
        "eventTime",
        "m3terEvent",
    ),
    "EventGroup": _object(
        {
            **_texts("integrationConfigId eventName code missing message latestEventId"),
            "count": _COUNT,
            "open": {**_COUNT, "description": "How many of them are not marked as actioned."},
            "dtFirst": _MOMENT,
            "dtLast": _MOMENT,
            **_STUCK,
        },
        "eventName",
        "code",
        "count",
        "open",
        "latestEventId",
    ),
    "StuckGroup": _object(
        {
            **_texts("integrationConfigId eventName code missing mendingId"),
            "enabled": {"type": "boolean"},
            "unmapped": {"type": "array", "items": _object(_texts("m3terEntity m3terId"), "m3terEntity", "m3terId")},
            **_STUCK,
        },
        "eventName",
        "code",
    ),
    "Mending": _object(
        {
            **_texts("id integrationConfigId eventName code note startedBy"),
            "state": _one_of(("sending", "done", "stopped")),
            "total": _COUNT,
            "totals": {"type": "object"},
            "delivered": _COUNT,
            "failed": _COUNT,
            "held": _COUNT,
            "left": _COUNT,
            "failing": {"type": "array", "items": {"type": "object"}},
            "dtStarted": _MOMENT,
            "eta": _MOMENT,
        },
        "id",
        "state",
        "total",
    ),
    "EventsMarked": _object({"marked": _COUNT}, "marked"),
    "EventFields": _object({"events": {"type": "object"}}, "events"),
    "EventTypes": _object({"events": _TEXTS, "onlyIfSubmitted": _TEXTS}, "events"),
    "ExternalMapping": _entity(EXTERNAL_MAPPING, {"tenant": _TEXT}),
    "Integration": _entity(integrations.BODY, _INTEGRATION),
    "Invitation": _entity(users.INVITATION, _INVITATION),
    "LineItem": _object({**bill_shape.LINE.schema["properties"], "billId": _TEXT}, "id"),
    "Message": _object({"message": _TEXT}, "message"),
    "Product": _entity(PRODUCT),
    "Rule": _entity(RULE),
    "RuleTrial": _object(
        {
            "success": {"type": "boolean"},
            "errorMessage": {**_TEXT, "description": "What is wrong with the calculation, with its place."},
            "fires": {"type": "boolean", "description": "Whether it is true of the event, where one was named."},
        },
        "success",
    ),
    "Run": _object({**_AUDIT, **_RUN}, "id", "status", "entityType", "entityId", "destination"),
    "ScheduledEvent": _entity(SCHEDULED_EVENT),
    "ServiceUser": _entity(service_users.BODY),
    "Webhook": _entity(webhooks.BODY, {"credentials": _WEBHOOK_CREDENTIAL, "downSince": _MOMENT}),
    "WebhookHealth": _object({"delivered": _COUNT, "pending": _COUNT, "failed": _COUNT, "downSince": _MOMENT}),
    "User": _entity(users.BODY, {"accepted": _FLAG, "singleSignOn": _FLAG, "supportUser": _FLAG}),
    "UserSession": _object(
        {**_texts("id way address agent"), "dtCreated": _MOMENT, "dtLastSeen": _MOMENT, "dtExpiry": _MOMENT}, "id"
    ),
}

_OF_NOUN = {
    "accounts": "Account",
    "alerts": "Alert",
    "auditlog": "AuditEntry",
    "billconfig": "BillConfig",
    "bills": "Bill",
    "events": "Event",
    "externalmappings": "ExternalMapping",
    "integrationcredentials": "Credential",
    "integrationdestinations": "Webhook",
    "integrationruns": "Run",
    "invitations": "Invitation",
    "lineitems": "LineItem",
    "notifications": "Rule",
    "products": "Product",
    "scheduledevents": "ScheduledEvent",
    "serviceusers": "ServiceUser",
    "users": "User",
}
"""What operations under a noun answer: one of these, or a page of them."""

_OF_OPERATION = {
    "approve_bills": "Message",
    "approve_bills_of_period": "Message",
    "activate_access_key": "AccessKey",
    "create_access_key": "AccessKey",
    "create_integration": "Integration",
    "deactivate_access_key": "AccessKey",
    "delete_access_key": "AccessKey",
    "delete_integration": "Integration",
    "disable_integration": "Integration",
    "enable_integration": "Integration",
    "evaluate_calculation": "RuleTrial",
    "get_by_entity": "Integration",
    "get_event_fields": "EventFields",
    "get_event_types": "EventTypes",
    "list_access_keys": "AccessKey",
    "list_event_groups": "EventGroup",
    "list_integrations": "Integration",
    "list_line_items": "LineItem",
    "list_user_sessions": "UserSession",
    "look_at_event_group": "StuckGroup",
    "mark_event_group": "EventsMarked",
    "mend_event_group": "Mending",
    "retrieve_integration": "Integration",
    "retrieve_line_item": "LineItem",
    "retrieve_mending": "Mending",
    "retrieve_webhook_health": "WebhookHealth",
    "stop_mending": "Mending",
    "update_integration": "Integration",
}
_OWN = {
    "erase_account",
    "end_user_session",
    "end_user_sessions",
    "get_me",
    "get_user_groups",
    "get_user_permissions",
    "resend_password",
}
_OWN |= {"get_run_log", "get_run_steps", "list_deliveries_of_bill", "end_date_billing_entities"}
_PAGES = ("list_", "search_", "get_latest_runs")


def describe(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Make the app's OpenAPI document say what answers look like."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = plain()
            made["components"]["schemas"] |= COMPONENTS
            for route in routes_of(routers):
                for method in route.methods or ():
                    answer = _answer(route.name, route.path)
                    if answer is not None:
                        operation = made["paths"][route.path_format][method.lower()]
                        operation["responses"]["200"]["content"]["application/json"]["schema"] = answer
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _answer(name: str, path: str) -> Schema | None:
    noun = path.removeprefix(ORG).strip("/").split("/")[0]
    component = _OF_OPERATION.get(name) or _OF_NOUN.get(noun)
    if component is None or name in _OWN:
        return None
    found = {"$ref": f"#/components/schemas/{component}"}
    if not name.startswith(_PAGES):
        return found
    return _object({"data": {"type": "array", "items": found}, "nextToken": _TEXT}, "data")
