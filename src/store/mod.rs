//! The database: the only place with SQL. Each method is one whole unit of work; a transaction never leaves this room.
//!
//! Every statement is written once and runs on PostgreSQL and on SQLite. `docs/decisions/` tells why and at what price.

mod account;
mod again;
mod block;
mod caller;
mod connect;
mod delivery;
mod directory;
mod django;
mod erase;
mod event;
mod identifier;
mod identity;
mod import;
mod job;
mod lease;
mod lent;
mod migrate;
mod outbox;
mod password;
mod purge;
mod revocation;
mod row;
mod session;
mod setting;
mod sign_in;
mod signing_key;
mod webhook;

pub use account::{AccountChange, AccountConflict, CreateAccount};
pub use block::{Block, Shut};
pub use caller::{CallerConflict, StoredCaller};
pub use connect::{ConnectError, FileLock};
pub use delivery::DeliveryFilter;
pub use directory::AccountFilter;
pub use django::{Django, GroupTables, UserRow, UserTable};
pub use event::EventFilter;
pub use identifier::IdentifierChange;
pub use identity::Confirmation;
pub use import::{Imported, ImportedAccount, Owners};
pub use job::SeenRecord;
pub use lease::LeaseRow;
pub use migrate::{MigrateError, NEWEST_MIGRATION};
pub use outbox::{Backlog, Due, Outcome, Route, Settled};
pub use password::{PasswordSet, SetPassword};
pub use purge::Purged;
pub use revocation::SequencedRevocation;
pub use session::{EndedSession, Grant, Refreshed, Rotation};
pub use sign_in::{Intent, NewAccount, NewSession, OpenSession, Opened, Proved, Upgrade};
pub use signing_key::Successor;
pub use webhook::{SealedSecret, WebhookConflict};

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgPool, SqlitePool};
use tracing::{Instrument, Span};

/// The database of this installation.
#[derive(Clone, Debug)]
pub enum Store {
    /// Shared by any number of nodes.
    Postgres(PgPool),
    /// Embedded, for one node. The pool holds a single connection: `SQLite` has one writer anyway, and transactions that
    /// read before they write cannot fail each other this way.
    Sqlite(SqlitePool),
}

/// A unit of work as a part of the trace that it belongs to. It goes by the file that it stands in.
macro_rules! span {
    ($kind:literal, $store:expr) => {
        ::tracing::debug_span!(
            $kind,
            otel.name = concat!($kind, " in ", module_path!()),
            otel.kind = "client",
            db.system.name = $store.system()
        )
    };
}

/// Does one piece of work on whichever database there is, in bounded time, and again where the database has undone it
/// ([`again`]). Inside, `$pool` is what that database takes statements by; it may be used once.
macro_rules! on_pool {
    ($store:expr, $pool:ident => $body:expr) => {{
        let mut tries = $crate::store::again::Tries::new();
        loop {
            let outcome = $crate::store::in_time($crate::store::span!("query", $store), async {
                match $store {
                    $crate::store::Store::Postgres(pool) => {
                        let mut lent = $crate::store::lent::Lent::by(pool).await?;
                        let $pool = &mut *lent;
                        let outcome = $body;
                        lent.after(outcome)
                    }
                    $crate::store::Store::Sqlite($pool) => $body,
                }
            })
            .await;
            match tries.pause_after(&outcome) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break outcome,
            }
        }
    }};
}

/// The same inside a transaction that takes the write lock at once, and is committed where the code comes to its end. What
/// leaves it early, with `return` or `?`, rolls it back.
macro_rules! in_transaction {
    ($store:expr, $tx:ident => $body:expr) => {{
        let mut tries = $crate::store::again::Tries::new();
        loop {
            // On the heap: what a transaction holds would make every future above it as large.
            let outcome = $crate::store::in_time(
                $crate::store::span!("transaction", $store),
                Box::pin(async {
                    match $store {
                        $crate::store::Store::Postgres(pool) => {
                            let mut $tx = $crate::store::lent::Lent::begin(pool).await?;
                            let outcome = $body;
                            $tx.commit().await?;
                            outcome
                        }
                        $crate::store::Store::Sqlite(pool) => {
                            let mut $tx = pool.begin_with("BEGIN IMMEDIATE").await?;
                            let outcome = $body;
                            $tx.commit().await?;
                            outcome
                        }
                    }
                }),
            )
            .await;
            match tries.pause_after(&outcome) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => break outcome,
            }
        }
    }};
}

pub(crate) use {in_transaction, on_pool, span};

/// Why the database gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or not in time. Trying again later may help.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    /// It refused, or holds something that this program does not understand.
    #[error("the database refused")]
    Internal(#[source] sqlx::Error),
    /// The process ends before the work is done.
    #[error("this node is going away")]
    Leaving,
}

impl StoreError {
    /// Whether the same may succeed a little later, here or on another node.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Leaving => true,
            Self::Internal(_) => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error::{Database, Io, PoolClosed, PoolTimedOut, Protocol, Tls, WorkerCrashed};
        match &error {
            Io(_) | Tls(_) | PoolTimedOut | PoolClosed | WorkerCrashed | Protocol(_) => Self::Unavailable(error),
            Database(refusal) if refusal.code().as_deref().is_some_and(is_passing) => Self::Unavailable(error),
            _ => Self::Internal(error),
        }
    }
}

/// Whether a refusal's code tells of the server's state rather than of the statement: it is shutting down, starting, out
/// of connections, read-only after a fail-over, tired of waiting, too slow, or another transaction was in the way.
fn is_passing(code: &str) -> bool {
    const SQLITE_BUSY: &str = "5";
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("57")
        || matches!(code, "25006" | "25P03" | "40001" | "40P01" | "55P03" | SQLITE_BUSY)
}

/// Longer than anything here takes. The database gives up on a statement by itself; this is for when it is not even there
/// to do so, behind a connection that has gone silent.
const PATIENCE: Duration = Duration::from_secs(5);

async fn in_time<T, E: From<sqlx::Error>>(span: Span, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(PATIENCE, work.instrument(span)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(lent::silent().into()),
    }
}

/// Does something to its end, even when the caller goes away in the middle: what was committed must be applied as well.
pub async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(work).await.unwrap_or(Err(StoreError::Leaving))
}

impl Store {
    /// Which system it is, as OpenTelemetry names it.
    const fn system(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgresql",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        on_pool!(self, pool => sqlx::query("SELECT 1").execute(pool).await.map(drop))?;
        Ok(())
    }

    /// What time it is for the database, where it is one that several nodes share.
    pub async fn time(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        const STATEMENT: &str = "SELECT clock_timestamp()";
        match self {
            Self::Postgres(_) => Ok(Some(on_pool!(self, pool => sqlx::query_scalar(STATEMENT).fetch_one(pool).await)?)),
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// How many connections there are, how many of them are idle, and how many there may be.
    #[must_use]
    pub fn connections(&self) -> (usize, usize, usize) {
        let (size, idle, most) = match self {
            Self::Postgres(pool) => (pool.size(), pool.num_idle(), pool.options().get_max_connections()),
            Self::Sqlite(pool) => (pool.size(), pool.num_idle(), pool.options().get_max_connections()),
        };
        let whole = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        (whole(size), idle, whole(most))
    }

    /// Lets go of connections that nobody uses. The embedded database keeps its only one.
    pub fn close_idle(&self) {
        if let Self::Postgres(pool) = self {
            lent::close_idle(pool);
        }
    }

    /// Lets go of every connection.
    pub async fn close(&self) {
        match self {
            Self::Postgres(pool) => pool.close().await,
            Self::Sqlite(pool) => pool.close().await,
        }
    }
}
