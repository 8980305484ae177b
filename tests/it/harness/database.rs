//! Databases of their own for tests, what goes into them, and raw statements where a test has to look behind the service or
//! do what no call can do.

use chrono::{DateTime, TimeDelta, Utc};
use countersign::model::{AccountId, Cause, Identifier, Phone, SessionId};
use countersign::random::Random;
use countersign::store::{NewAccount, NewSession, OpenSession, Proved, Store};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use uuid::Uuid;

use super::Backend;

/// A database that nobody else uses, in the shape that this release needs.
pub(crate) struct Database {
    pub store: Store,
    _folder: TempDir,
}

impl Database {
    pub(crate) async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Embedded => format!("sqlite:{}", folder.path().join("test.db").display()),
            Backend::Shared => super::new_database().await,
        };
        let store = Store::connect(&url, 16).await.unwrap();
        store.migrate().await.unwrap();
        Self { store, _folder: folder }
    }
}

/// Runs a statement with identifiers for its parameters, and tells how many rows it changed.
pub(crate) async fn execute(store: &Store, statement: &str, ids: &[Uuid]) -> u64 {
    macro_rules! run {
        ($pool:expr) => {{
            let query = sqlx::query(AssertSqlSafe(statement.to_owned()));
            let query = ids.iter().fold(query, |query, id| query.bind(*id));
            query.execute($pool).await.unwrap().rows_affected()
        }};
    }
    match store {
        Store::Postgres(pool) => run!(pool),
        Store::Sqlite(pool) => run!(pool),
    }
}

/// The number that a query with identifiers for its parameters gives.
pub(crate) async fn number(store: &Store, query: &str, ids: &[Uuid]) -> i64 {
    macro_rules! run {
        ($pool:expr) => {{
            let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
            let query = ids.iter().fold(query, |query, id| query.bind(*id));
            query.fetch_one($pool).await.unwrap()
        }};
    }
    match store {
        Store::Postgres(pool) => run!(pool),
        Store::Sqlite(pool) => run!(pool),
    }
}

/// How many events of a kind there are about a session.
pub(crate) async fn events_about(store: &Store, session: SessionId, kind: &str) -> i64 {
    let query = format!("SELECT COUNT(*) FROM events WHERE session_id = $1 AND kind = '{kind}'");
    number(store, &query, &[session.0]).await
}

/// Shuts an account and ends its sessions in one transaction, as whoever works on the database by hand would.
pub(crate) async fn block(store: &Store, account: AccountId, at: DateTime<Utc>) {
    const ACCOUNT: &str = "UPDATE accounts SET state = 'blocked' WHERE id = $1";
    const SESSIONS: &str =
        "UPDATE sessions SET ended_at = $2, end_reason = 'blocked' WHERE account_id = $1 AND ended_at IS NULL";
    const REVOCATIONS: &str = "INSERT INTO revocations (kind, target, revoked_at, expires_at, reason)
        SELECT 'session', id, ended_at, access_expires_at, 'blocked' FROM sessions
        WHERE account_id = $1 AND end_reason = 'blocked'";
    macro_rules! run {
        ($transaction:expr) => {{
            let mut transaction = $transaction;
            sqlx::query(ACCOUNT).bind(account.0).execute(&mut *transaction).await.unwrap();
            // Locks the sessions, so that what is read of them below is what they are.
            sqlx::query(SESSIONS).bind(account.0).bind(at).execute(&mut *transaction).await.unwrap();
            sqlx::query(REVOCATIONS).bind(account.0).execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        }};
    }
    match store {
        Store::Postgres(pool) => run!(pool.begin().await.unwrap()),
        Store::Sqlite(pool) => run!(pool.begin_with("BEGIN IMMEDIATE").await.unwrap()),
    }
}

/// The phone number with this subscriber number.
pub(crate) fn phone(subscriber: u32) -> Identifier {
    Identifier::Phone(Phone::parse(&format!("+98912{subscriber:07}"), "IR".parse().unwrap()).unwrap())
}

/// A session to be opened at `now`, with the lives that are the default.
pub(crate) fn new_session(now: DateTime<Utc>) -> NewSession {
    NewSession {
        id: SessionId(Random.id(now)),
        client_id: "app".to_owned(),
        amr: "otp sms".to_owned(),
        device_id: "device".to_owned(),
        device_name: "Telephone".to_owned(),
        user_agent: "test/1".to_owned(),
        expires_at: now + TimeDelta::days(30),
        absolute_expires_at: now + TimeDelta::days(180),
        access_expires_at: now + TimeDelta::minutes(5),
    }
}

/// A sign-in that may open an account and is not named.
pub(crate) fn sign_in<'a>(identifier: &'a Identifier, session: NewSession, cause: &'a Cause) -> OpenSession<'a> {
    OpenSession {
        proved: Proved::Owner { identifier, must_be_new: false },
        new_account: Some(NewAccount::bare(AccountId(Random.id(cause.at)))),
        upgrade: None,
        session,
        intent: None,
        cause,
    }
}
