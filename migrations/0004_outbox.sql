-- Events on their way to other systems. An event waits in the outbox while it has a number there; rows that are older than
-- this have none and are never sent. The release before goes on writing events as it did: the database gives them their
-- numbers. A number is drawn after the account's row has been locked, so that within an account numbers are in the order in
-- which the changes were committed.

ALTER TABLE events ADD COLUMN outbox_seq BIGINT;
CREATE INDEX events_in_outbox ON events (outbox_seq) WHERE outbox_seq IS NOT NULL;

-- only PostgreSQL:
CREATE SEQUENCE outbox_numbers AS BIGINT;
-- Separate from the column itself, so that no row is rewritten and old ones stay without a number.
ALTER TABLE events ALTER COLUMN outbox_seq SET DEFAULT nextval('outbox_numbers');

-- only SQLite:
CREATE TABLE outbox_numbers (last BIGINT NOT NULL);
INSERT INTO outbox_numbers (last) VALUES (0);
CREATE TRIGGER events_into_outbox AFTER INSERT ON events WHEN NEW.outbox_seq IS NULL BEGIN
    UPDATE outbox_numbers SET last = last + 1;
    UPDATE events SET outbox_seq = (SELECT last FROM outbox_numbers) WHERE id = NEW.id;
END;

-- both again:
-- What goes where. A row is deleted once it has been delivered; `dead` are those that were given up. `account_id` is all zeros
-- where an event is about no account: those have one order among themselves.
CREATE TABLE deliveries (
    destination TEXT        NOT NULL,
    event_id    UUID        NOT NULL REFERENCES events (id) ON DELETE CASCADE,
    seq         BIGINT      NOT NULL,
    account_id  UUID        NOT NULL,
    state       TEXT        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'dead')),
    attempts    BIGINT      NOT NULL DEFAULT 0,
    due_at      TIMESTAMPTZ NOT NULL,
    last_error  TEXT        NOT NULL DEFAULT '',
    PRIMARY KEY (destination, event_id)
);
CREATE INDEX deliveries_pending ON deliveries (destination, seq) WHERE state = 'pending';
CREATE INDEX deliveries_of_account ON deliveries (destination, account_id, seq) WHERE state = 'pending';
CREATE INDEX deliveries_dead ON deliveries (destination, seq) WHERE state = 'dead';
CREATE INDEX deliveries_of_event ON deliveries (event_id);

-- Who of several nodes does what only one may do. Whoever holds a lease moves its beat; no time is written, so that no clock
-- has to be right.
CREATE TABLE leases (
    name   TEXT   PRIMARY KEY,
    holder UUID   NOT NULL,
    beat   BIGINT NOT NULL
);
