//! Connections to PostgreSQL that are lent for one unit of work, and what becomes of them afterwards.
//!
//! The pool asks each connection that comes back whether it still answers, and waits for that without end: behind a server that
//! is gone without a word, places in the pool would be lost for as long as the system believes in the connection. Here
//! whatever comes back has a moment to answer. What comes back from work that failed is looked at more closely, and so are
//! those that lie idle beside it: they lead to the same server.

use std::iter;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Executor, PgConnection, PgPool, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long a connection may take to show that it is alive, before it is lent.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);
/// How long afterwards, when nobody waits for it: a server that is slow must not be asked for new ones as well.
const GOODBYE: Duration = Duration::from_secs(1);

/// A connection, for one unit of work. Unless that is known to have come to its end, whatever it began is rolled back.
pub(super) struct Lent {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    work: Work,
}

/// How far the work has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Nothing is known of it but that there is no transaction.
    Open,
    /// A transaction may have been begun.
    Begun,
    /// It came to its end.
    Done,
}

impl Lent {
    /// One that is free, within the time that the pool allows.
    pub(super) async fn by(pool: &PgPool) -> sqlx::Result<Self> {
        // On the heap: a connection that has to be made first takes much room, in every future above.
        let connection = Some(Box::pin(pool.acquire()).await?);
        Ok(Self { pool: pool.clone(), connection, work: Work::Open })
    }

    /// The same, with a transaction begun on it.
    pub(super) async fn begin(pool: &PgPool) -> sqlx::Result<Self> {
        let mut lent = Self::by(pool).await?;
        lent.work = Work::Begun;
        lent.execute("BEGIN").await?;
        Ok(lent)
    }

    /// Commits what was begun.
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        self.execute("COMMIT").await?;
        self.work = Work::Done;
        Ok(())
    }

    /// Gives it back after work without a transaction.
    pub(super) fn after<T, E>(mut self, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_ok() {
            self.work = Work::Done;
        }
        outcome
    }
}

/// Closes those that nobody uses. A connection stays with the event loop that opened it, so that whoever is to use the next
/// ones on loops of their own makes them there.
pub(super) fn close_idle(pool: &PgPool) {
    iter::from_fn(|| pool.try_acquire()).for_each(|idle| drop(idle.detach()));
}

impl Deref for Lent {
    type Target = PgConnection;

    #[expect(clippy::expect_used, reason = "only `drop` takes the connection away")]
    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("a connection is lent until it is given back")
    }
}

impl DerefMut for Lent {
    #[expect(clippy::expect_used, reason = "only `drop` takes the connection away")]
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a connection is lent until it is given back")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(give_back(self.pool.clone(), connection, self.work))),
            // The event loop has ended, and its connections with it.
            Err(_) => drop(connection.detach()),
        }
    }
}

/// Lets the next one have a connection, or nobody.
async fn give_back(pool: PgPool, connection: PoolConnection<Postgres>, work: Work) {
    let kept = match work {
        Work::Done => put_back(connection).await,
        Work::Open | Work::Begun => keep_if_good(connection, work).await,
    };
    if !kept {
        let idle: Vec<_> = iter::from_fn(|| pool.try_acquire()).collect();
        join_all(idle.into_iter().map(|idle| keep_if_good(idle, Work::Open))).await;
    }
}

/// Puts a connection back with nothing begun on it, if it leads to a server that answers and takes changes. A new one in its
/// place leads, after a failover, to whoever has taken over.
async fn keep_if_good(mut connection: PoolConnection<Postgres>, work: Work) -> bool {
    let look = async {
        if work == Work::Begun {
            connection.execute("ROLLBACK").await?;
        }
        let takes_changes = sqlx::query_scalar("SELECT current_setting('transaction_read_only') = 'off'");
        takes_changes.fetch_one(&mut *connection).await
    };
    if matches!(timeout(GOODBYE, look).await, Ok(Ok(true))) {
        return put_back(connection).await;
    }
    drop(connection.detach());
    false
}

/// Where it does not answer any more, the connection and its place in the pool are given up together.
async fn put_back(mut connection: PoolConnection<Postgres>) -> bool {
    timeout(GOODBYE, connection.return_to_pool()).await.is_ok()
}

/// Whether an idle connection can still be lent.
pub(super) async fn is_alive(connection: &mut PgConnection) -> sqlx::Result<()> {
    timeout(SIGN_OF_LIFE, connection.ping()).await.unwrap_or_else(|_| Err(silent()))
}

/// What is made of silence.
pub(super) fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
