-- What an account has beyond its identifiers. Everything is added with a default, so that the release before goes on working
-- beside this one. COLLATE "C" is left out for SQLite.

-- As an argon2id PHC string, or as it came from elsewhere until the next sign-in.
ALTER TABLE accounts ADD COLUMN password_hash TEXT;
-- What its owner gave and never proved. `phone` and `email` hold what was proved, once each; these may be anybody's word.
ALTER TABLE accounts ADD COLUMN claimed_phone TEXT;
ALTER TABLE accounts ADD COLUMN claimed_email TEXT;
ALTER TABLE accounts ADD COLUMN locale TEXT NOT NULL DEFAULT '';
-- A JSON object.
ALTER TABLE accounts ADD COLUMN metadata TEXT NOT NULL DEFAULT '{}';
ALTER TABLE accounts ADD COLUMN blocked_until TIMESTAMPTZ;
ALTER TABLE accounts ADD COLUMN block_reason TEXT NOT NULL DEFAULT '';
-- A keyed hash: the number itself is not kept.
ALTER TABLE accounts ADD COLUMN national_id_hash BYTEA;
ALTER TABLE accounts ADD COLUMN identity_verified_at TIMESTAMPTZ;
ALTER TABLE accounts ADD COLUMN identity_provider TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN full_name TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN birth_date TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN alive BOOLEAN;
-- Which request made it, so that a repetition finds it.
ALTER TABLE accounts ADD COLUMN created_by UUID;
ALTER TABLE accounts ADD COLUMN created_with BYTEA;

CREATE INDEX accounts_by_claimed_phone ON accounts (claimed_phone) WHERE claimed_phone IS NOT NULL;
CREATE INDEX accounts_by_claimed_email ON accounts (claimed_email) WHERE claimed_email IS NOT NULL;
-- Folded and compared byte by byte, so that both databases find the same names, whatever their locale.
CREATE INDEX accounts_by_first_name ON accounts (lower(first_name COLLATE "C"));
CREATE INDEX accounts_by_last_name ON accounts (lower(last_name COLLATE "C"));
-- Few have roles, and few are shut.
CREATE INDEX accounts_with_roles ON accounts (id) WHERE roles <> '';
CREATE INDEX accounts_not_active ON accounts (id) WHERE state <> 'active';
CREATE UNIQUE INDEX accounts_by_national_id ON accounts (national_id_hash);
CREATE UNIQUE INDEX accounts_by_creation ON accounts (created_by);

-- The anonymous visitor that the person was before.
ALTER TABLE sessions ADD COLUMN upgraded_from UUID;

-- Which request did it.
ALTER TABLE events ADD COLUMN request_id TEXT NOT NULL DEFAULT '';
CREATE INDEX events_of_account ON events (account_id, id);
-- Among millions of sign-ins, what one operator did, and what happens once a year.
CREATE INDEX events_by_actor ON events (actor, id);
CREATE INDEX events_by_kind ON events (kind, id);
