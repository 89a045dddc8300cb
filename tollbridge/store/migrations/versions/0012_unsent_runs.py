"""Runs that failed, were cancelled or are held are found without reading all that were delivered."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX runs_unsent ON runs (org_id, created_at DESC, id DESC)"
        " WHERE state IN ('failed', 'cancelled', 'held')"
    )
