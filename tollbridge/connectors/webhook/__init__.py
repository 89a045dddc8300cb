"""Outgoing webhooks: one signed POST for each notification. See docs.md for what a receiver should know."""

from __future__ import annotations

from datetime import timedelta
from importlib.resources import files

from tollbridge.connectors.base import Connector, Limits, System
from tollbridge.connectors.webhook.config import WebhookCredential, WebhookOptions
from tollbridge.connectors.webhook.faults import ERRORS, classify, replayed
from tollbridge.connectors.webhook.flows import check, deliver
from tollbridge.connectors.webhook.signature import API_KEY_HEADER, authorize

_KNOWN_FOR_EVER = timedelta(days=3650)
"""A receiver knows a message by its id, whenever it comes again."""

WEBHOOK = System(
    key="WEBHOOK",
    title="Webhook",
    base_url="",
    live=True,
    mapping_system="Webhook",
    limits=Limits(1000, 256, _KNOWN_FOR_EVER, timedelta(seconds=15)),
)

connector = Connector(
    key="webhook",
    title="Webhook",
    category="Notifications",
    systems=(WEBHOOK,),
    entity_types=("Notification",),
    credential_type="M3TER_SIGNED_REQUEST",
    credential=WebhookCredential,
    config=WebhookOptions,
    mapping_tables={},
    authorize=authorize,
    classify=classify,
    errors=ERRORS,
    replayed=replayed,
    deliver=deliver,
    check=check,
    redact=frozenset({API_KEY_HEADER}),
    docs=(files(__package__) / "docs.md").read_text(encoding="utf-8"),
)
