"""When scheduled events are due: a row for each configuration, entity and moment, which says whether it was told."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    "ALTER TABLE scheduled_events ADD COLUMN entity text COLLATE \"C\" NOT NULL DEFAULT ''",
    "ALTER TABLE scheduled_events ADD COLUMN filled boolean NOT NULL DEFAULT false",
    "ALTER TABLE scheduled_events ADD COLUMN filled_to text COLLATE \"C\" NOT NULL DEFAULT ''",
    "CREATE INDEX scheduled_events_unfilled ON scheduled_events (created_at) WHERE NOT filled",
    """
    CREATE TABLE scheduled_dues (
        org_id text COLLATE "C" NOT NULL,
        scheduled_event_id text COLLATE "C" NOT NULL,
        entity_id text COLLATE "C" NOT NULL,
        due_at timestamptz NOT NULL,
        fired_at timestamptz,
        PRIMARY KEY (org_id, scheduled_event_id, entity_id, due_at)
    )
    """,
    "CREATE INDEX scheduled_dues_open ON scheduled_dues (due_at) WHERE fired_at IS NULL",
    "CREATE INDEX scheduled_dues_told ON scheduled_dues (due_at) WHERE fired_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
