"""Errors in succession, by which integrations are disabled; when credentials expire; sending
that is paused."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    "ALTER TABLE integrations ADD COLUMN errors_in_row jsonb NOT NULL DEFAULT '{}'",
    "ALTER TABLE integrations ADD COLUMN probe_at timestamptz, ADD COLUMN probe_seconds double precision,"
    ' ADD COLUMN probe_run_id text COLLATE "C"',
    "CREATE INDEX integrations_probe ON integrations (probe_at) WHERE probe_at IS NOT NULL",
    "ALTER TABLE credentials ADD COLUMN expires_at timestamptz",
    "ALTER TABLE organizations ADD COLUMN paused_reason text, ADD COLUMN paused_by text,"
    " ADD COLUMN paused_at timestamptz",
    "CREATE INDEX events_open ON events (org_id, integration_id, received_at DESC, id DESC)"
    " WHERE type = 'IntegrationEvent' AND actioned_at IS NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
