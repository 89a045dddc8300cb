"""Events as they are listed and submitted, rules, webhooks, scheduled events, and the runs that carry notifications."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    "ALTER TABLE events ADD COLUMN received_at timestamptz NOT NULL DEFAULT now()",
    'ALTER TABLE events ADD COLUMN rule_ids text[] COLLATE "C"',
    'ALTER TABLE events ADD COLUMN rule_codes text[] COLLATE "C"',
    "DROP INDEX events_page",
    "CREATE INDEX events_page ON events (org_id, received_at DESC, id DESC)",
    "CREATE INDEX events_name ON events (org_id, name, received_at DESC, id DESC)",
    "CREATE INDEX events_account ON events (org_id, account_id, received_at DESC, id DESC)",
    "CREATE INDEX events_resource ON events (org_id, resource_id, received_at DESC, id DESC)",
    "CREATE INDEX events_fired ON events (org_id, received_at DESC, id DESC) WHERE rule_ids IS NOT NULL",
    "CREATE INDEX events_errors ON events (org_id, received_at DESC, id DESC) WHERE type = 'IntegrationEvent'",
    "CREATE INDEX events_received ON events (received_at)",
    """
    CREATE TABLE rules (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text NOT NULL,
        code text COLLATE "C" NOT NULL,
        event_name text COLLATE "C" NOT NULL,
        active boolean NOT NULL,
        PRIMARY KEY (org_id, id)
    )
    """,
    "ALTER TABLE rules ADD CONSTRAINT rules_code UNIQUE (org_id, code)",
    "CREATE INDEX rules_page ON rules (org_id, created_at DESC, id DESC)",
    "CREATE INDEX rules_event ON rules (org_id, event_name) WHERE active",
    """
    CREATE TABLE scheduled_events (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text COLLATE "C" NOT NULL,
        PRIMARY KEY (org_id, id)
    )
    """,
    "ALTER TABLE scheduled_events ADD CONSTRAINT scheduled_events_name UNIQUE (org_id, name)",
    "CREATE INDEX scheduled_events_page ON scheduled_events (org_id, created_at DESC, id DESC)",
    """
    CREATE TABLE webhooks (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text NOT NULL,
        code text COLLATE "C" NOT NULL,
        url text NOT NULL,
        active boolean NOT NULL,
        credential_id text COLLATE "C" NOT NULL,
        down_since timestamptz,
        tokens double precision,
        refilled_at timestamptz,
        PRIMARY KEY (org_id, id)
    )
    """,
    "ALTER TABLE webhooks ADD CONSTRAINT webhooks_code UNIQUE (org_id, code)",
    "CREATE INDEX webhooks_page ON webhooks (org_id, created_at DESC, id DESC)",
    """
    CREATE TABLE run_payloads (
        run_id text COLLATE "C" NOT NULL,
        body text NOT NULL,
        PRIMARY KEY (run_id)
    )
    """,
    'ALTER TABLE runs ADD COLUMN event_id text COLLATE "C"',
    'ALTER TABLE runs ADD COLUMN message_id text COLLATE "C"',
    "ALTER TABLE integrations ADD COLUMN failed_at timestamptz",
    "CREATE INDEX runs_event ON runs (event_id) WHERE event_id IS NOT NULL",
    # Notifications are claimed straight from here, by their webhook; first attempts and retries apart.
    "CREATE INDEX runs_notify_first ON runs (destination_id, due_at, id) WHERE flow = 'notify' AND state = 'queued'",
    "CREATE INDEX runs_notify_again ON runs (destination_id, due_at, id) WHERE flow = 'notify' AND state = 'waiting'",
    "CREATE INDEX runs_notify_lane ON runs (lane, message_id)"
    " WHERE flow = 'notify' AND lane IS NOT NULL AND state IN ('queued', 'waiting', 'running')",
    "CREATE INDEX runs_notify_failed ON runs (destination_id, completed_at) WHERE flow = 'notify' AND state = 'failed'",
    "CREATE INDEX runs_children ON runs (parent_id, state) WHERE parent_id IS NOT NULL",
    """
    CREATE TABLE bring_backs (
        org_id text COLLATE "C" NOT NULL,
        webhook_id text COLLATE "C" NOT NULL,
        test_run_id text COLLATE "C" NOT NULL,
        state text NOT NULL,
        note text,
        total bigint NOT NULL,
        since timestamptz NOT NULL,
        started_at timestamptz NOT NULL,
        started_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (org_id, webhook_id)
    )
    """,
    "CREATE INDEX runs_replays ON runs (replay_of) WHERE replay_of IS NOT NULL",
    "DROP INDEX runs_due",
    "CREATE INDEX runs_due ON runs (due_at)"
    " WHERE state IN ('queued', 'waiting') AND due_at IS NOT NULL AND flow <> 'notify'",
    "DROP INDEX runs_lane",
    "CREATE INDEX runs_lane ON runs (lane, created_at, id)"
    " WHERE state IN ('queued', 'waiting', 'running', 'held') AND lane IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
