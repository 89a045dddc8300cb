"""Guards before a person had a look: first sends and the volume of a month; groups of errors that are mended."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    "ALTER TABLE integrations ADD COLUMN first_round integer NOT NULL DEFAULT 0,"
    " ADD COLUMN first_waiting boolean NOT NULL DEFAULT false, ADD COLUMN volumes jsonb",
    "ALTER TABLE runs ADD COLUMN admitted integer",
    "CREATE INDEX runs_admitted ON runs (integration_id, admitted) WHERE admitted IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
