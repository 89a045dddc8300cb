"""Why and how long a run was held before it went on."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("ALTER TABLE runs ADD COLUMN holds jsonb")
