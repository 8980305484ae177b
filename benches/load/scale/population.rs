//! A database full of people, written by a few statements that each make a slice of the rows.
//!
//! Identifiers are computed from the number of a row, by the database and here alike, so that anybody of millions can be
//! picked without reading anything: what is measured must not have been warmed up by looking for it.

use chrono::{DateTime, TimeDelta, Utc};
use countersign::clock::Clock;
use countersign::model::SessionId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::Result;

/// How many rows one statement makes, so that none runs for minutes and progress can be seen.
const SLICE: u64 = 500_000;
/// Of so many sessions one has expired, and waits to be purged.
const EXPIRED_ONE_IN: u64 = 40;
/// Of so many sessions one has an event that tells of it: events are measured by what one of them takes.
const EVENT_ONE_IN: u64 = 10;
/// Sessions have begun within so long.
const SPAN: TimeDelta = TimeDelta::days(20);

/// How many there are of what.
#[derive(Clone, Copy)]
pub(crate) struct Population {
    pub(crate) accounts: u64,
    pub(crate) sessions: u64,
    /// When the first session began.
    since: DateTime<Utc>,
}

impl Population {
    /// So many people with ten sessions each.
    pub(crate) fn of(accounts: u64) -> Self {
        Self { accounts, sessions: accounts * 10, since: Clock::System.now() - SPAN }
    }

    /// The session with this number.
    pub(crate) fn session(&self, number: u64) -> SessionId {
        let step = u64::try_from(SPAN.num_milliseconds()).unwrap_or(0) / self.sessions.max(1);
        let millis = u64::try_from(self.since.timestamp_millis()).unwrap_or(0) + number * step;
        SessionId(Uuid::from_u128(identifier(millis, number)))
    }

    /// Whether that session can be refreshed.
    pub(crate) const fn is_alive(number: u64) -> bool {
        !number.is_multiple_of(EXPIRED_ONE_IN)
    }

    /// Fills a database that has its tables and nothing in them.
    pub(crate) async fn settle(&self, database: &str) -> Result<()> {
        let mut connection = PgConnection::connect(database).await?;
        // Foreign keys hold by construction; ten million look-ups would only take time.
        execute(&mut connection, "SET session_replication_role = replica; SET synchronous_commit = off".to_owned())
            .await?;
        self.in_slices(&mut connection, "accounts", self.accounts, |from, to| self.accounts_between(from, to)).await?;
        self.in_slices(&mut connection, "sessions", self.sessions, |from, to| self.sessions_between(from, to)).await?;
        let events = self.sessions / EVENT_ONE_IN;
        self.in_slices(&mut connection, "events", events, |from, to| self.events_between(from, to)).await?;
        for table in ["accounts", "sessions", "events"] {
            execute(&mut connection, format!("VACUUM (ANALYZE) {table}")).await?;
        }
        execute(&mut connection, "CHECKPOINT".to_owned()).await?;
        connection.close().await?;
        Ok(())
    }

    async fn in_slices(
        &self,
        connection: &mut PgConnection,
        what: &str,
        count: u64,
        statement: impl Fn(u64, u64) -> String,
    ) -> Result<()> {
        let mut from = 0;
        while from < count {
            let to = (from + SLICE).min(count);
            execute(connection, statement(from, to - 1)).await?;
            from = to;
            if count > SLICE {
                eprintln!("  {what}: {from} of {count}");
            }
        }
        Ok(())
    }

    fn accounts_between(&self, from: u64, to: u64) -> String {
        let hash = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRvZjE2Ynl0ZQ$MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE";
        format!(
            "INSERT INTO accounts (id, phone, email, first_name, last_name, created_at, last_login_at, password_hash)
             SELECT {id}, '+98912' || lpad(n::text, 7, '0'), 'person' || n || '@example.com',
                    'First' || n % 3000, 'Last' || n % 50000, {since}, {since}, '{hash}'
             FROM generate_series({from}::bigint, {to}::bigint) AS n",
            id = account("n"),
            since = moment(self.since),
        )
    }

    fn sessions_between(&self, from: u64, to: u64) -> String {
        let step = SPAN.num_milliseconds() / i64::try_from(self.sessions).unwrap_or(1).max(1);
        let millis = format!("{} + n * {step}", self.since.timestamp_millis());
        let at = format!("{} + n * {step} * interval '1 millisecond'", moment(self.since));
        format!(
            "INSERT INTO sessions (id, account_id, generation, rotated_at, opened_by, opened_with, client_id, amr, device_id,
                 device_name, user_agent, ip, created_at, last_used_at, expires_at, absolute_expires_at, access_expires_at)
             SELECT {id}, {owner}, 1, at, {intent}, decode(repeat('ab', 32), 'hex'), 'app', 'otp', 'device-' || n,
                    'Pixel 9', 'ExampleApp/5.2 (Android 16; Pixel 9)', '203.0.113.' || n % 250, at, at,
                    CASE WHEN n % {EXPIRED_ONE_IN} = 0 THEN at - interval '1 day' ELSE at + interval '60 days' END,
                    at + interval '180 days', at + interval '5 minutes'
             FROM (SELECT n, {at} AS at FROM generate_series({from}::bigint, {to}::bigint) AS n) AS numbered",
            id = identified(&format!("({millis})"), "n"),
            owner = account(&format!("(n % {})", self.accounts)),
            intent = identified("(n * 7919 % 281474976710656)", "n"),
        )
    }

    fn events_between(&self, from: u64, to: u64) -> String {
        let step = SPAN.num_milliseconds() / i64::try_from(self.sessions).unwrap_or(1).max(1);
        let number = format!("(n * {EVENT_ONE_IN})");
        let millis = format!("({} + {number} * {step})", self.since.timestamp_millis());
        let owner = account(&format!("({number} % {})", self.accounts));
        format!(
            "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail)
             SELECT {id}, {since} + {number} * {step} * interval '1 millisecond', 'session.created', {owner}, {session},
                    'account:' || {owner}, '203.0.113.' || n % 250, '', ''
             FROM generate_series({from}::bigint, {to}::bigint) AS n",
            id = identified(&millis, &format!("({number} + 1)")),
            session = identified(&millis, &number),
            since = moment(self.since),
        )
    }
}

/// What follows the time in an identifier: mixed, so that neighbours are none by their ends.
const MIX: u64 = 2_654_435_761;
const MIXED: u64 = 1 << 32;

/// A UUIDv7 of a time and a number.
fn identifier(millis: u64, number: u64) -> u128 {
    let mixed = number * MIX % MIXED;
    u128::from(millis) << 80
        | 0x7 << 76
        | u128::from(mixed % 4096) << 64
        | 0x8 << 60
        | u128::from(number) << 32
        | u128::from(mixed)
}

/// The same, said in SQL.
fn identified(millis: &str, number: &str) -> String {
    format!(
        "(lpad(to_hex({millis}::bigint), 12, '0') || '7' || lpad(to_hex({number} * {MIX} % {MIXED} % 4096), 3, '0') || '8'
          || lpad(to_hex({number}), 7, '0') || lpad(to_hex({number} * {MIX} % {MIXED}), 8, '0'))::uuid"
    )
}

/// An account's identifier, in SQL. Who came first does not matter here.
fn account(number: &str) -> String {
    identified(&format!("(1700000000000 + {number})"), number)
}

fn moment(at: DateTime<Utc>) -> String {
    format!("'{}'::timestamptz", at.to_rfc3339())
}

async fn execute(connection: &mut PgConnection, statements: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(connection).await?;
    Ok(())
}
