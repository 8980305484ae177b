-- What the service keeps. One text for PostgreSQL and SQLite: the only word that differs, BIGSERIAL PRIMARY KEY, is put
-- into SQLite's terms when the migrations are loaded. Times are always bound by the service, never taken from the database.

CREATE TABLE accounts (
    id            UUID        PRIMARY KEY,
    phone         TEXT        UNIQUE,
    email         TEXT        UNIQUE,
    first_name    TEXT        NOT NULL DEFAULT '',
    last_name     TEXT        NOT NULL DEFAULT '',
    roles         TEXT        NOT NULL DEFAULT '',
    state         TEXT        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'blocked', 'deleted')),
    created_at    TIMESTAMPTZ NOT NULL,
    last_login_at TIMESTAMPTZ
);

-- No index names a column that a refresh writes, so that PostgreSQL can update a session in place.
CREATE TABLE sessions (
    id                  UUID        PRIMARY KEY,
    account_id          UUID        NOT NULL REFERENCES accounts (id),
    generation          BIGINT      NOT NULL,
    rotated_at          TIMESTAMPTZ NOT NULL,
    rotated_by          BYTEA,
    opened_by           UUID        UNIQUE,
    opened_with         BYTEA,
    client_id           TEXT        NOT NULL,
    amr                 TEXT        NOT NULL,
    device_id           TEXT        NOT NULL,
    device_name         TEXT        NOT NULL,
    user_agent          TEXT        NOT NULL,
    ip                  TEXT        NOT NULL,
    created_at          TIMESTAMPTZ NOT NULL,
    last_used_at        TIMESTAMPTZ NOT NULL,
    expires_at          TIMESTAMPTZ NOT NULL,
    absolute_expires_at TIMESTAMPTZ NOT NULL,
    access_expires_at   TIMESTAMPTZ NOT NULL,
    ended_at            TIMESTAMPTZ,
    end_reason          TEXT
);
CREATE INDEX sessions_of_account ON sessions (account_id, id);

CREATE TABLE revocations (
    seq        BIGSERIAL PRIMARY KEY,
    kind       TEXT        NOT NULL CHECK (kind IN ('token', 'session', 'account')),
    target     UUID        NOT NULL,
    revoked_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL,
    reason     TEXT        NOT NULL
);
CREATE INDEX revocations_of_target ON revocations (target);
CREATE INDEX revocations_by_expiry ON revocations (expires_at);

CREATE TABLE signing_keys (
    kid                   TEXT        PRIMARY KEY,
    algorithm             TEXT        NOT NULL,
    state                 TEXT        NOT NULL CHECK (state IN ('pending', 'active', 'retired')),
    sealed_private        BYTEA       NOT NULL,
    public_jwk            TEXT        NOT NULL,
    created_at            TIMESTAMPTZ NOT NULL,
    activated_at          TIMESTAMPTZ,
    retired_at            TIMESTAMPTZ,
    longest_token_seconds BIGINT      NOT NULL
);
-- At most one key signs and at most one waits: of several nodes that rotate at once, one wins.
CREATE UNIQUE INDEX signing_keys_one_active ON signing_keys (state) WHERE state = 'active';
CREATE UNIQUE INDEX signing_keys_one_pending ON signing_keys (state) WHERE state = 'pending';

CREATE TABLE callers (
    id          UUID        PRIMARY KEY,
    name        TEXT        NOT NULL UNIQUE,
    key_hash    BYTEA       NOT NULL UNIQUE,
    permissions TEXT        NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    rotated_at  TIMESTAMPTZ
);

CREATE TABLE events (
    id         UUID        PRIMARY KEY,
    at         TIMESTAMPTZ NOT NULL,
    kind       TEXT        NOT NULL,
    account_id UUID,
    session_id UUID,
    actor      TEXT        NOT NULL,
    ip         TEXT        NOT NULL,
    detail     TEXT        NOT NULL
);
CREATE INDEX events_by_time ON events (at);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
