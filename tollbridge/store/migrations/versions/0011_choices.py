"""Questions for things in another system; what a credential waits for after a person's consent."""

from alembic import op

revision = "0011"
down_revision = "0010"

_STATEMENTS = (
    "CREATE INDEX runs_asked ON runs (created_at) WHERE flow = 'ask'",
    "ALTER TABLE credentials ADD COLUMN tenants jsonb",
    'ALTER TABLE credentials ADD COLUMN for_integration text COLLATE "C"',
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
