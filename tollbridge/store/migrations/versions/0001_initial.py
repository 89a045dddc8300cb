"""The tables of the first release: organizations, what they bill, integrations, runs, the ledger, events."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE organizations (
        id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE service_users (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text NOT NULL,
        role text NOT NULL,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE access_keys (
        id text COLLATE "C" NOT NULL,
        org_id text COLLATE "C" NOT NULL,
        service_user_id text COLLATE "C" NOT NULL,
        secret_hash bytea NOT NULL,
        active boolean NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE accounts (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        code text COLLATE "C" NOT NULL,
        name text NOT NULL,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE products (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        code text COLLATE "C" NOT NULL,
        name text NOT NULL,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE external_mappings (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        m3ter_entity text COLLATE "C" NOT NULL,
        m3ter_id text COLLATE "C" NOT NULL,
        external_system text COLLATE "C" NOT NULL,
        external_table text COLLATE "C" NOT NULL,
        external_id text COLLATE "C" NOT NULL,
        integration_id text COLLATE "C",
        tenant text COLLATE "C",
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE bills (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        account_id text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        content_hash text NOT NULL,
        status text NOT NULL,
        locked boolean NOT NULL,
        currency text NOT NULL,
        total numeric NOT NULL,
        bill_date date NOT NULL,
        billing_frequency text,
        bill_job_id text COLLATE "C",
        external_invoice_date date,
        approved_at timestamptz,
        approved_by text,
        locked_at timestamptz,
        locked_by text,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE bill_configs (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        lock_date date,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE bill_revisions (
        org_id text COLLATE "C" NOT NULL,
        bill_id text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        body jsonb NOT NULL,
        lines jsonb NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (org_id, bill_id, revision)
    )
    """,
    """
    CREATE TABLE credentials (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text NOT NULL,
        type text NOT NULL,
        system text NOT NULL,
        status text NOT NULL,
        error text,
        checked_at timestamptz,
        tenant text COLLATE "C",
        tenant_name text,
        secrets bytea NOT NULL,
        candidate bytea,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE integrations (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        updated_by text NOT NULL,
        body jsonb NOT NULL,
        name text NOT NULL,
        entity_type text NOT NULL,
        entity_id text COLLATE "C",
        system text NOT NULL,
        destination_id text COLLATE "C",
        credential_id text COLLATE "C",
        enabled boolean NOT NULL,
        disabled_reason text,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE runs (
        id text COLLATE "C" NOT NULL,
        org_id text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        updated_at timestamptz NOT NULL,
        integration_id text COLLATE "C",
        credential_id text COLLATE "C",
        tenant text COLLATE "C",
        system text NOT NULL,
        destination text NOT NULL,
        destination_id text COLLATE "C",
        entity_type text NOT NULL,
        entity_id text COLLATE "C" NOT NULL,
        revision bigint NOT NULL,
        account_id text COLLATE "C",
        lane text COLLATE "C",
        flow text NOT NULL,
        state text NOT NULL,
        hold_reason text,
        fault_kind text,
        fault_code text,
        error text,
        hint text,
        attempt integer NOT NULL,
        due_at timestamptz NOT NULL,
        fence bigint NOT NULL,
        lease_until timestamptz,
        worker_id text COLLATE "C",
        look_first boolean NOT NULL,
        parent_id text COLLATE "C",
        replay_of text COLLATE "C",
        external_id text COLLATE "C",
        url text,
        total numeric,
        currency text,
        note text,
        offers jsonb,
        decision jsonb,
        worked_seconds double precision NOT NULL,
        limited_since timestamptz,
        started_at timestamptz,
        completed_at timestamptz,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE run_snapshots (
        run_id text COLLATE "C" NOT NULL,
        config jsonb NOT NULL,
        mappings jsonb NOT NULL,
        account jsonb NOT NULL,
        PRIMARY KEY (run_id)
    )
    """,
    """
    CREATE TABLE run_previews (
        run_id text COLLATE "C" NOT NULL,
        result jsonb NOT NULL,
        PRIMARY KEY (run_id)
    )
    """,
    """
    CREATE TABLE run_steps (
        run_id text COLLATE "C" NOT NULL,
        seq integer NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        kind text NOT NULL,
        attempt integer NOT NULL,
        epoch integer,
        started_at timestamptz NOT NULL,
        completed_at timestamptz,
        status integer,
        request jsonb,
        reply jsonb,
        fault jsonb,
        PRIMARY KEY (run_id, seq)
    )
    """,
    """
    CREATE TABLE run_records (
        run_id text COLLATE "C" NOT NULL,
        key text NOT NULL,
        request_hash text NOT NULL,
        writes boolean NOT NULL,
        reply bytea NOT NULL,
        PRIMARY KEY (run_id, key)
    )
    """,
    """
    CREATE TABLE lanes (
        id text COLLATE "C" NOT NULL,
        run_id text COLLATE "C",
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE ledger (
        org_id text COLLATE "C" NOT NULL,
        tenant text COLLATE "C" NOT NULL,
        entity_type text COLLATE "C" NOT NULL,
        entity_id text COLLATE "C" NOT NULL,
        document text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        state text NOT NULL,
        steps jsonb NOT NULL,
        external_id text COLLATE "C",
        url text,
        total numeric,
        currency text,
        integration_id text COLLATE "C",
        run_id text COLLATE "C",
        earlier jsonb,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (org_id, tenant, entity_type, entity_id, document)
    )
    """,
    """
    CREATE TABLE events (
        org_id text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        type text NOT NULL,
        happened_at timestamptz NOT NULL,
        account_id text COLLATE "C",
        resource_id text COLLATE "C",
        integration_id text COLLATE "C",
        run_id text COLLATE "C",
        body jsonb NOT NULL,
        actioned_at timestamptz,
        PRIMARY KEY (org_id, id)
    )
    """,
    """
    CREATE TABLE workers (
        id text COLLATE "C" NOT NULL,
        host text NOT NULL,
        pid integer NOT NULL,
        version text NOT NULL,
        started_at timestamptz NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE rate_limits (
        credential_id text COLLATE "C" NOT NULL,
        tokens double precision NOT NULL,
        refilled_at timestamptz NOT NULL,
        blocked_until timestamptz,
        PRIMARY KEY (credential_id)
    )
    """,
    """
    CREATE TABLE slot_leases (
        credential_id text COLLATE "C" NOT NULL,
        worker_id text COLLATE "C" NOT NULL,
        slots integer NOT NULL,
        until timestamptz NOT NULL,
        PRIMARY KEY (credential_id, worker_id)
    )
    """,
    """
    CREATE TABLE restores (
        at timestamptz NOT NULL,
        look_until timestamptz NOT NULL,
        PRIMARY KEY (at)
    )
    """,
    """
    CREATE TABLE counters (
        name text COLLATE "C" NOT NULL,
        labels text[] COLLATE "C" NOT NULL,
        value double precision NOT NULL,
        PRIMARY KEY (name, labels)
    )
    """,
    "ALTER TABLE access_keys ADD FOREIGN KEY (org_id, service_user_id) REFERENCES service_users",
    "ALTER TABLE service_users ADD FOREIGN KEY (org_id) REFERENCES organizations",
    "ALTER TABLE accounts ADD CONSTRAINT accounts_code UNIQUE (org_id, code)",
    "ALTER TABLE products ADD CONSTRAINT products_code UNIQUE (org_id, code)",
    "ALTER TABLE external_mappings ADD CONSTRAINT external_mappings_target "
    "UNIQUE NULLS NOT DISTINCT "
    "(org_id, m3ter_entity, m3ter_id, external_system, external_table, integration_id, tenant)",
    "ALTER TABLE bills ADD CONSTRAINT bills_account FOREIGN KEY (org_id, account_id) REFERENCES accounts",
    "CREATE INDEX accounts_page ON accounts (org_id, created_at DESC, id DESC)",
    "CREATE INDEX accounts_parent ON accounts (org_id, (body ->> 'parentAccountId'), created_at DESC, id DESC)",
    "CREATE INDEX products_page ON products (org_id, created_at DESC, id DESC)",
    "CREATE INDEX external_mappings_page ON external_mappings (org_id, created_at DESC, id DESC)",
    "CREATE INDEX external_mappings_external ON external_mappings "
    "(org_id, external_system, external_table, external_id)",
    "CREATE INDEX external_mappings_ours ON external_mappings (org_id, m3ter_id)",
    "CREATE INDEX credentials_page ON credentials (org_id, created_at DESC, id DESC)",
    "CREATE INDEX integrations_page ON integrations (org_id, created_at DESC, id DESC)",
    "CREATE INDEX bills_page ON bills (org_id, created_at DESC, id DESC)",
    "CREATE INDEX bills_account_page ON bills (org_id, account_id, created_at DESC, id DESC)",
    "CREATE INDEX bills_date ON bills (org_id, bill_date)",
    "CREATE INDEX runs_entity ON runs (org_id, entity_type, entity_id, created_at DESC, id DESC)",
    "CREATE INDEX runs_destination ON runs (org_id, destination_id, created_at DESC, id DESC)",
    "CREATE INDEX runs_page ON runs (org_id, created_at DESC, id DESC)",
    "CREATE INDEX runs_settled ON runs (integration_id, completed_at DESC)",
    # Not for who looks for the queued runs of a lane: what is said of due_at keeps those at runs_lane.
    "CREATE INDEX runs_due ON runs (due_at) WHERE state IN ('queued', 'waiting') AND due_at IS NOT NULL",
    "CREATE INDEX runs_leased ON runs (lease_until) WHERE state = 'running'",
    "CREATE INDEX runs_lane ON runs (lane, created_at, id) WHERE state IN ('queued', 'waiting', 'running', 'held')",
    "CREATE INDEX runs_held ON runs (integration_id) WHERE state = 'held'",
    "CREATE INDEX run_steps_bodies ON run_steps (started_at) WHERE request IS NOT NULL OR reply IS NOT NULL",
    "CREATE INDEX ledger_entity ON ledger (org_id, entity_type, entity_id)",
    "CREATE INDEX events_page ON events (org_id, happened_at DESC, id DESC)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
