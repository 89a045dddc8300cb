"""Credentials that are connected by OAuth: who exchanges a grant, and redirects that are under way."""

from alembic import op

revision = "0009"
down_revision = "0008"

_STATEMENTS = (
    "ALTER TABLE credentials ADD COLUMN candidate_expires_at timestamptz",
    """
    CREATE TABLE token_leases (
        org_id text COLLATE "C" NOT NULL,
        credential_id text COLLATE "C" NOT NULL,
        fence bigint NOT NULL,
        until timestamptz,
        PRIMARY KEY (org_id, credential_id),
        FOREIGN KEY (org_id, credential_id) REFERENCES credentials (org_id, id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE oauth_redirects (
        state_hash bytea PRIMARY KEY,
        org_id text COLLATE "C" NOT NULL,
        credential_id text COLLATE "C" NOT NULL,
        integration_id text COLLATE "C",
        begun_by text NOT NULL,
        sealed bytea NOT NULL,
        expires_at timestamptz NOT NULL,
        UNIQUE (org_id, credential_id),
        FOREIGN KEY (org_id, credential_id) REFERENCES credentials (org_id, id) ON DELETE CASCADE
    )
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
