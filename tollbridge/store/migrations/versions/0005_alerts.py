"""Alerts with their notes, what is to be told of them, and chores that one process does for all."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = (
    """
    CREATE TABLE alerts (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        type text NOT NULL,
        cause text COLLATE "C" NOT NULL,
        severity text NOT NULL,
        state text NOT NULL,
        description text NOT NULL,
        remedy text NOT NULL,
        count bigint NOT NULL,
        code text,
        created_at timestamptz NOT NULL,
        opened_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        closed_at timestamptz,
        assignee text,
        integration_id text COLLATE "C",
        credential_id text COLLATE "C",
        run_id text COLLATE "C",
        event_id text COLLATE "C",
        PRIMARY KEY (org_id, id)
    )
    """,
    "ALTER TABLE alerts ADD CONSTRAINT alerts_cause UNIQUE (org_id, cause)",
    "CREATE INDEX alerts_page ON alerts (org_id, opened_at DESC, id DESC)",
    "CREATE INDEX alerts_open ON alerts (type) WHERE state <> 'CLOSED'",
    """
    CREATE TABLE alert_notes (
        org_id text COLLATE "C" NOT NULL,
        alert_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL,
        by text NOT NULL,
        text text NOT NULL,
        PRIMARY KEY (org_id, alert_id, id)
    )
    """,
    """
    CREATE TABLE outbox (
        id text COLLATE "C" NOT NULL,
        org_id text COLLATE "C" NOT NULL,
        alert_id text COLLATE "C" NOT NULL,
        channel text NOT NULL,
        recipient text NOT NULL,
        content jsonb NOT NULL,
        state text NOT NULL,
        attempts integer NOT NULL,
        created_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        fence bigint NOT NULL,
        error text,
        ended_at timestamptz,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX outbox_due ON outbox (due_at) WHERE state = 'waiting'",
    "CREATE INDEX outbox_ended ON outbox (ended_at) WHERE state <> 'waiting'",
    "CREATE INDEX outbox_alert ON outbox (org_id, alert_id, id)",
    """
    CREATE TABLE chores (
        name text COLLATE "C" NOT NULL,
        due_at timestamptz NOT NULL,
        PRIMARY KEY (name)
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
