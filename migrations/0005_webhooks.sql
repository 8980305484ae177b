-- Endpoints that events are posted to, and the secrets that sign what they get. Both are small tables.

CREATE TABLE webhooks (
    id          UUID        PRIMARY KEY,
    name        TEXT        NOT NULL UNIQUE,
    url         TEXT        NOT NULL,
    -- Names with commas between; empty: all.
    kinds       TEXT        NOT NULL,
    created_at  TIMESTAMPTZ NOT NULL,
    rotated_at  TIMESTAMPTZ,
    disabled_at TIMESTAMPTZ
);

-- The newest one of an endpoint has no end; those before it sign as well until theirs.
CREATE TABLE webhook_secrets (
    digest     BYTEA       PRIMARY KEY,
    webhook_id UUID        NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    sealed     BYTEA       NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    until      TIMESTAMPTZ
);
CREATE INDEX webhook_secrets_of_webhook ON webhook_secrets (webhook_id);
