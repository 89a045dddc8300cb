"""Guards before a person had a look: first sends and the volume of a month; groups of errors that are mended."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    "ALTER TABLE integrations ADD COLUMN first_round integer NOT NULL DEFAULT 0,"
    " ADD COLUMN first_waiting boolean NOT NULL DEFAULT false, ADD COLUMN volumes jsonb",
    "ALTER TABLE runs ADD COLUMN admitted integer",
    """
    CREATE TABLE mendings (
        org_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, integration_id text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL, code text COLLATE "C" NOT NULL, missing text COLLATE "C" NOT NULL,
        state text NOT NULL, note text, total bigint NOT NULL, sums jsonb NOT NULL,
        reached text COLLATE "C" NOT NULL, started_at timestamptz NOT NULL, started_by text NOT NULL,
        updated_at timestamptz NOT NULL, PRIMARY KEY (org_id, id))
    """,
    "CREATE UNIQUE INDEX mendings_under_way ON mendings (org_id, integration_id) WHERE state = 'sending'",
    "CREATE INDEX runs_admitted ON runs (integration_id, admitted) WHERE admitted IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
