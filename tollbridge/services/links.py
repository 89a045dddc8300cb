"""Links: integration configurations that lead from a notification rule to an outgoing webhook. One for each pair.

A link uses the webhook's credential; it has none of its own to choose.
"""

from __future__ import annotations

from tollbridge.domain.errors import Conflict, Invalid
from tollbridge.domain.fields import shown
from tollbridge.store import integrations, records
from tollbridge.store.db import Tx
from tollbridge.store.records import Record, RecordTable
from tollbridge.store.schema import rules, webhooks


async def connect(tx: Tx, record: Record) -> Record:
    """The configuration with the credential of its webhook.

    Raises Invalid where rule or webhook are not there, Conflict where another configuration links the two.
    """
    rule = await _named(tx, record, rules, "entity_id", "entityId", "notification rule", "notifications/configurations")
    webhook = await _named(
        tx, record, webhooks, "destination_id", "destinationId", "webhook", "integrationdestinations/webhooks"
    )
    if record["credential_id"] not in (None, webhook["credential_id"]):
        raise Invalid(
            "integration.credential",
            f"integrationCredentialsId is {shown(record['credential_id'])}, which is not the credential of the webhook "
            f"{webhook['name']}.",
            "Leave it out: a webhook's notifications are signed with its own credential.",
            "integrationCredentialsId",
        )
    other = await integrations.linked(tx, record.org_id, rule.id, webhook.id)
    if other not in (None, record.id):
        raise Conflict(
            "integration.linked",
            f"The rule {rule['name']} is linked to the webhook {webhook['name']} already, by {other}.",
            f"Change the integration configuration {other} instead.",
            "destinationId",
        )
    return record.with_columns(credential_id=webhook["credential_id"])


async def _named(
    tx: Tx, record: Record, table: RecordTable, column: str, field: str, noun: str, collection: str
) -> Record:
    """What the configuration names, locked: it cannot be deleted, nor linked a second time, in the meantime."""
    id = record[column]
    if id is None:
        raise Invalid(
            "field.missing",
            f"{field} is missing.",
            f"Give the id of a {noun}: a link leads from one to the other.",
            field,
        )
    found = await records.get(tx, table, record.org_id, id, lock=True)
    if found is None:
        raise Invalid(
            "integration.unknown",
            f"{field} is {shown(id)}, but there is no such {noun}.",
            f"Make it first, at {collection}.",
            field,
        )
    return found
