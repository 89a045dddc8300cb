"""Error events: what a person is told when a run will not go on by itself."""

from __future__ import annotations

from typing import Any

from tollbridge.domain.errors import Fault

INTEGRATION_EVENT = "IntegrationEvent"
"""The wire's event type of all error events of integrations."""


def error_body(
    fault: Fault, *, run_id: str | None, integration_id: str | None, account_id: str | None, entity_id: str
) -> dict[str, Any]:
    """The body of an error event: the cause in the vendor's words with the way out, and what it is about."""
    data: dict[str, Any] = {
        "message": f"{fault.message} {fault.hint}".strip(),
        "code": fault.code,
        "runId": run_id,
        "integrationId": integration_id,
        "accountId": account_id,
        "entityId": entity_id,
    }
    if fault.missing is not None:
        data["missing"] = dict(zip(("entity", "id", "system", "table"), fault.missing, strict=True))
    return {"eventData": data}
