"""The tables, as SQLAlchemy Core sees them. The migrations make them; a test compares the two.

Every table of an organization's things begins with `org_id`. Text keys are compared bytewise (COLLATE "C").
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def _id(name: str, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Text(collation="C"), primary_key=primary_key, nullable=nullable and not primary_key)


def _col(name: str, kind: type[TypeEngine[Any]], nullable: bool = False) -> Column[Any]:
    return Column(name, kind, nullable=nullable)


def _when(name: str, nullable: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _record(name: str, *columns: Column[Any], audited: str | None = None) -> Table:
    """A table of wire entities: identity, version, audit, the body as the caller sent it, and columns to search by.

    `audited` is the entity as which every change of its rows by `store.records` and `store.bulk` is noted in the audit
    log; binary columns, where secrets are, never are.
    """
    return Table(
        name,
        metadata,
        _id("org_id", primary_key=True),
        _id("id", primary_key=True),
        _col("version", BigInteger),
        _when("created_at"),
        _col("created_by", Text),
        _when("updated_at"),
        _col("updated_by", Text),
        _col("body", JSONB),
        *columns,
        info={"audited": audited},
    )


organizations = Table(
    "organizations",
    metadata,
    _id("id", primary_key=True),
    _col("name", Text),
    _when("created_at"),
    _col("paused_reason", Text, nullable=True),
    _col("paused_by", Text, nullable=True),
    _when("paused_at", nullable=True),
)
service_users = _record("service_users", _col("name", Text), _col("role", Text), audited="ServiceUser")
access_keys = Table(
    "access_keys",
    metadata,
    _id("id", primary_key=True),
    _id("org_id"),
    _id("service_user_id"),
    _col("secret_hash", LargeBinary),
    _col("active", Boolean),
    _when("created_at"),
)
users = _record(
    "users",
    _id("mail"),
    _col("role", Text),
    _when("end_access", nullable=True),
    _col("password", LargeBinary, nullable=True),
    _id("subject", nullable=True),
    _when("invited_until", nullable=True),
    _when("accepted_at", nullable=True),
    audited="User",
)
user_links = Table(
    "user_links",
    metadata,
    _id("org_id", primary_key=True),
    _id("user_id", primary_key=True),
    _id("purpose", primary_key=True),
    _col("token_hash", LargeBinary),
    _when("created_at"),
    _col("created_by", Text),
    _when("expires_at"),
)
user_sessions = Table(
    "user_sessions",
    metadata,
    _id("id", primary_key=True),
    _id("org_id"),
    _id("user_id"),
    _col("token_hash", LargeBinary),
    _col("way", Text),
    _col("address", Text),
    _col("agent", Text),
    _when("created_at"),
    _when("seen_at"),
    _when("ends_at"),
)
sign_in_limits = Table(
    "sign_in_limits",
    metadata,
    _id("key", primary_key=True),
    _col("tokens", Float),
    _when("refilled_at"),
)
sso_sign_ins = Table(
    "sso_sign_ins",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    _col("browser_hash", LargeBinary),
    _col("nonce", Text),
    _col("verifier", Text),
    _col("back", Text),
    _when("expires_at"),
)
audit_log = Table(
    "audit_log",
    metadata,
    _id("org_id", primary_key=True),
    _id("id", primary_key=True),
    _when("at"),
    _id("principal"),
    _id("action"),
    _id("entity"),
    _id("entity_id"),
    _col("before", JSONB),
    _col("after", JSONB),
    _col("request_id", Text, nullable=True),
    _col("address", Text, nullable=True),
)
accounts = _record("accounts", _id("code"), _col("name", Text))
products = _record("products", _id("code"), _col("name", Text))
external_mappings = _record(
    "external_mappings",
    _id("m3ter_entity"),
    _id("m3ter_id"),
    _id("external_system"),
    _id("external_table"),
    _id("external_id"),
    _id("integration_id", nullable=True),
    _id("tenant", nullable=True),
    audited="ExternalMapping",
)
bills = _record(
    "bills",
    _id("account_id"),
    _col("revision", BigInteger),
    _col("content_hash", Text),
    _col("status", Text),
    _col("locked", Boolean),
    _col("currency", Text),
    _col("total", Numeric),
    _col("bill_date", Date),
    _col("billing_frequency", Text, nullable=True),
    _id("bill_job_id", nullable=True),
    _col("external_invoice_date", Date, nullable=True),
    _when("approved_at", nullable=True),
    _col("approved_by", Text, nullable=True),
    _when("locked_at", nullable=True),
    _col("locked_by", Text, nullable=True),
)
bill_configs = _record("bill_configs", _col("lock_date", Date, nullable=True), audited="BillConfig")
bill_revisions = Table(
    "bill_revisions",
    metadata,
    _id("org_id", primary_key=True),
    _id("bill_id", primary_key=True),
    Column("revision", BigInteger, primary_key=True),
    _col("body", JSONB),
    _col("lines", JSONB),
    _when("created_at"),
)
credentials = _record(
    "credentials",
    _col("name", Text),
    _col("type", Text),
    _col("system", Text),
    _col("status", Text),
    _col("error", Text, nullable=True),
    _when("checked_at", nullable=True),
    _id("tenant", nullable=True),
    _col("tenant_name", Text, nullable=True),
    _col("secrets", LargeBinary),
    _col("candidate", LargeBinary, nullable=True),
    _when("expires_at", nullable=True),
    _when("candidate_expires_at", nullable=True),
    Column("tenants", JSONB(none_as_null=True), nullable=True),
    _id("for_integration", nullable=True),
    audited="Credential",
)
oauth_redirects = Table(
    "oauth_redirects",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    _id("org_id"),
    _id("credential_id"),
    _id("integration_id", nullable=True),
    _col("begun_by", Text),
    _col("sealed", LargeBinary),
    _when("expires_at"),
)
integrations = _record(
    "integrations",
    _col("name", Text),
    _col("entity_type", Text),
    _id("entity_id", nullable=True),
    _col("system", Text),
    _id("destination_id", nullable=True),
    _id("credential_id", nullable=True),
    _col("enabled", Boolean),
    _col("disabled_reason", Text, nullable=True),
    _when("failed_at", nullable=True),
    _col("errors_in_row", JSONB),
    _when("probe_at", nullable=True),
    _col("probe_seconds", Float, nullable=True),
    _id("probe_run_id", nullable=True),
    _col("first_round", Integer),
    _col("first_waiting", Boolean),
    Column("volumes", JSONB(none_as_null=True), nullable=True),
    audited="Integration",
)
webhooks = _record(
    "webhooks",
    _col("name", Text),
    _id("code"),
    _col("url", Text),
    _col("active", Boolean),
    _id("credential_id"),
    _when("down_since", nullable=True),
    _col("tokens", Float, nullable=True),
    _when("refilled_at", nullable=True),
    audited="Webhook",
)
runs = Table(
    "runs",
    metadata,
    _id("id", primary_key=True),
    _id("org_id"),
    _col("version", BigInteger),
    _when("created_at"),
    _col("created_by", Text),
    _when("updated_at"),
    _id("integration_id", nullable=True),
    _id("credential_id", nullable=True),
    _id("tenant", nullable=True),
    _col("system", Text),
    _col("destination", Text),
    _id("destination_id", nullable=True),
    _col("entity_type", Text),
    _id("entity_id"),
    _col("revision", BigInteger),
    _id("account_id", nullable=True),
    _id("lane", nullable=True),
    _col("flow", Text),
    _col("state", Text),
    _col("hold_reason", Text, nullable=True),
    _col("fault_kind", Text, nullable=True),
    _col("fault_code", Text, nullable=True),
    _col("error", Text, nullable=True),
    _col("hint", Text, nullable=True),
    _col("attempt", Integer),
    _when("due_at"),
    _col("fence", BigInteger),
    _when("lease_until", nullable=True),
    _id("worker_id", nullable=True),
    _col("look_first", Boolean),
    _id("parent_id", nullable=True),
    _id("replay_of", nullable=True),
    _id("external_id", nullable=True),
    _col("url", Text, nullable=True),
    _col("total", Numeric, nullable=True),
    _col("currency", Text, nullable=True),
    _col("note", Text, nullable=True),
    _col("offers", JSONB, nullable=True),
    _col("decision", JSONB, nullable=True),
    _col("holds", JSONB, nullable=True),
    _col("worked_seconds", Float),
    _when("limited_since", nullable=True),
    _when("started_at", nullable=True),
    _when("completed_at", nullable=True),
    _id("event_id", nullable=True),
    _id("message_id", nullable=True),
    _col("admitted", Integer, nullable=True),
)
run_payloads = Table(
    "run_payloads",
    metadata,
    _id("run_id", primary_key=True),
    _col("body", Text),
)
bring_backs = Table(
    "bring_backs",
    metadata,
    _id("org_id", primary_key=True),
    _id("webhook_id", primary_key=True),
    _id("test_run_id"),
    _col("state", Text),
    _col("note", Text, nullable=True),
    _col("total", BigInteger),
    _when("since"),
    _when("started_at"),
    _col("started_by", Text),
    _when("updated_at"),
)
mendings = Table(
    "mendings",
    metadata,
    _id("org_id", primary_key=True),
    _id("id", primary_key=True),
    _id("integration_id"),
    _id("name"),
    _id("code"),
    _id("missing"),
    _col("state", Text),
    _col("note", Text, nullable=True),
    _col("total", BigInteger),
    _col("sums", JSONB),
    _id("reached"),
    _when("started_at"),
    _col("started_by", Text),
    _when("updated_at"),
)
run_snapshots = Table(
    "run_snapshots",
    metadata,
    _id("run_id", primary_key=True),
    _col("config", JSONB),
    _col("mappings", JSONB),
    _col("account", JSONB),
)
run_previews = Table(
    "run_previews",
    metadata,
    _id("run_id", primary_key=True),
    _col("result", JSONB),
)
run_steps = Table(
    "run_steps",
    metadata,
    _id("run_id", primary_key=True),
    Column("seq", Integer, primary_key=True),
    _col("key", Text),
    _col("name", Text),
    _col("kind", Text),
    _col("attempt", Integer),
    _col("epoch", Integer, nullable=True),
    _when("started_at"),
    _when("completed_at", nullable=True),
    _col("status", Integer, nullable=True),
    _col("request", JSONB, nullable=True),
    _col("reply", JSONB, nullable=True),
    _col("fault", JSONB, nullable=True),
)
run_records = Table(
    "run_records",
    metadata,
    _id("run_id", primary_key=True),
    Column("key", Text, primary_key=True),
    _col("request_hash", Text),
    _col("writes", Boolean),
    _col("reply", LargeBinary),
)
lanes = Table("lanes", metadata, _id("id", primary_key=True), _id("run_id", nullable=True))
ledger = Table(
    "ledger",
    metadata,
    _id("org_id", primary_key=True),
    _id("tenant", primary_key=True),
    _id("entity_type", primary_key=True),
    _id("entity_id", primary_key=True),
    _id("document", primary_key=True),
    _col("version", BigInteger),
    _col("state", Text),
    _col("steps", JSONB),
    _id("external_id", nullable=True),
    _col("url", Text, nullable=True),
    _col("total", Numeric, nullable=True),
    _col("currency", Text, nullable=True),
    _id("integration_id", nullable=True),
    _id("run_id", nullable=True),
    _col("earlier", JSONB, nullable=True),
    _when("updated_at"),
)
events = Table(
    "events",
    metadata,
    _id("org_id", primary_key=True),
    _id("id", primary_key=True),
    _col("name", Text),
    _col("type", Text),
    _when("happened_at"),
    _id("account_id", nullable=True),
    _id("resource_id", nullable=True),
    _id("integration_id", nullable=True),
    _id("run_id", nullable=True),
    _col("body", JSONB),
    _when("actioned_at", nullable=True),
    _when("received_at"),
    Column("rule_ids", ARRAY(Text(collation="C"))),
    Column("rule_codes", ARRAY(Text(collation="C"))),
)
rules = _record(
    "rules", _col("name", Text), _id("code"), _id("event_name"), _col("active", Boolean), audited="NotificationRule"
)
scheduled_events = _record(
    "scheduled_events",
    _id("name"),
    _id("entity"),
    _col("filled", Boolean),
    _id("filled_to"),
    audited="ScheduledEvent",
)
scheduled_dues = Table(
    "scheduled_dues",
    metadata,
    _id("org_id", primary_key=True),
    _id("scheduled_event_id", primary_key=True),
    _id("entity_id", primary_key=True),
    Column("due_at", DateTime(timezone=True), primary_key=True),
    _when("fired_at", nullable=True),
)
workers = Table(
    "workers",
    metadata,
    _id("id", primary_key=True),
    _col("host", Text),
    _col("pid", Integer),
    _col("version", Text),
    _when("started_at"),
    _when("seen_at"),
)
rate_limits = Table(
    "rate_limits",
    metadata,
    _id("credential_id", primary_key=True),
    _col("tokens", Float),
    _when("refilled_at"),
    _when("blocked_until", nullable=True),
)
slot_leases = Table(
    "slot_leases",
    metadata,
    _id("credential_id", primary_key=True),
    _id("worker_id", primary_key=True),
    _col("slots", Integer),
    _when("until"),
)
token_leases = Table(
    "token_leases",
    metadata,
    _id("org_id", primary_key=True),
    _id("credential_id", primary_key=True),
    _col("fence", BigInteger),
    _when("until", nullable=True),
)
restores = Table(
    "restores",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True),
    _when("look_until"),
)
counters = Table(
    "counters",
    metadata,
    _id("name", primary_key=True),
    Column("labels", ARRAY(Text(collation="C")), primary_key=True),
    _col("value", Float),
)
alerts = Table(
    "alerts",
    metadata,
    _id("org_id", primary_key=True),
    _id("id", primary_key=True),
    _col("version", BigInteger),
    _col("type", Text),
    _id("cause"),
    _col("severity", Text),
    _col("state", Text),
    _col("description", Text),
    _col("remedy", Text),
    _col("count", BigInteger),
    _col("code", Text, nullable=True),
    _when("created_at"),
    _when("opened_at"),
    _when("updated_at"),
    _when("closed_at", nullable=True),
    _col("assignee", Text, nullable=True),
    _id("integration_id", nullable=True),
    _id("credential_id", nullable=True),
    _id("run_id", nullable=True),
    _id("event_id", nullable=True),
)
alert_notes = Table(
    "alert_notes",
    metadata,
    _id("org_id", primary_key=True),
    _id("alert_id", primary_key=True),
    _id("id", primary_key=True),
    _when("at"),
    _col("by", Text),
    _col("text", Text),
)
outbox = Table(
    "outbox",
    metadata,
    _id("id", primary_key=True),
    _id("org_id"),
    _id("alert_id"),
    _col("channel", Text),
    _col("recipient", Text),
    _col("content", JSONB),
    _col("state", Text),
    _col("attempts", Integer),
    _when("created_at"),
    _when("due_at"),
    _col("fence", BigInteger),
    _col("error", Text, nullable=True),
    _when("ended_at", nullable=True),
)
chores = Table(
    "chores",
    metadata,
    _id("name", primary_key=True),
    _when("due_at"),
)
