"""People who use the Console, their sessions and sign-ins; the audit log."""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = (
    """
    CREATE TABLE users (
        org_id text COLLATE "C" NOT NULL REFERENCES organizations,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        mail text COLLATE "C" NOT NULL,
        role text NOT NULL,
        end_access timestamptz,
        password bytea,
        subject text COLLATE "C",
        invited_until timestamptz,
        accepted_at timestamptz,
        PRIMARY KEY (org_id, id)
    )
    """,
    # Whoever signs in names no organization.
    "ALTER TABLE users ADD CONSTRAINT users_mail UNIQUE (mail)",
    "ALTER TABLE users ADD CONSTRAINT users_subject UNIQUE (subject)",
    "CREATE INDEX users_page ON users (org_id, created_at DESC, id DESC)",
    """
    CREATE TABLE user_links (
        org_id text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        purpose text COLLATE "C" NOT NULL,
        token_hash bytea NOT NULL UNIQUE,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (org_id, user_id, purpose),
        FOREIGN KEY (org_id, user_id) REFERENCES users ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE user_sessions (
        id text COLLATE "C" NOT NULL,
        org_id text COLLATE "C" NOT NULL,
        user_id text COLLATE "C" NOT NULL,
        token_hash bytea NOT NULL UNIQUE,
        way text NOT NULL,
        address text NOT NULL,
        agent text NOT NULL,
        created_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        ends_at timestamptz NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY (org_id, user_id) REFERENCES users ON DELETE CASCADE
    )
    """,
    "CREATE INDEX user_sessions_user ON user_sessions (org_id, user_id)",
    "CREATE INDEX user_sessions_ends ON user_sessions (ends_at)",
    """
    CREATE TABLE sign_in_limits (
        key text COLLATE "C" NOT NULL,
        tokens double precision NOT NULL,
        refilled_at timestamptz NOT NULL,
        PRIMARY KEY (key)
    )
    """,
    "CREATE INDEX sign_in_limits_refilled ON sign_in_limits (refilled_at)",
    """
    CREATE TABLE sso_sign_ins (
        state_hash bytea NOT NULL,
        browser_hash bytea NOT NULL,
        nonce text NOT NULL,
        verifier text NOT NULL,
        back text NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (state_hash)
    )
    """,
    """
    CREATE TABLE audit_log (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        at timestamptz NOT NULL,
        principal text COLLATE "C" NOT NULL,
        action text COLLATE "C" NOT NULL,
        entity text COLLATE "C" NOT NULL,
        entity_id text COLLATE "C" NOT NULL,
        before jsonb NOT NULL,
        after jsonb NOT NULL,
        request_id text,
        address text,
        PRIMARY KEY (org_id, id)
    )
    """,
    "CREATE INDEX audit_log_page ON audit_log (org_id, at DESC, id DESC)",
    "CREATE INDEX audit_log_entity ON audit_log (org_id, entity, entity_id, at DESC, id DESC)",
    "CREATE INDEX audit_log_principal ON audit_log (org_id, principal, at DESC, id DESC)",
    "CREATE INDEX audit_log_at ON audit_log (at)",
    """
    CREATE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('tollbridge.audit_log', true) IS DISTINCT FROM 'may change' THEN
            RAISE EXCEPTION 'the audit log only grows';
        END IF;
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END
    $$
    """,
    "CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR DELETE ON audit_log"
    " FOR EACH ROW EXECUTE FUNCTION audit_log_only_grows()",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
