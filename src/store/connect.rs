//! Reaching the database that a URL names.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Store, lent};

/// How long a request waits for a connection before it is told that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many connections are set apart each time.
const SET_APART: u32 = 3;
/// A connection unused for this long is checked before use; checking each time would double the round trips.
const CHECK_AFTER_IDLE: Duration = Duration::from_secs(5);
/// Longer than any statement of ours takes; it also bounds how long a forgotten transaction can stay open.
const STATEMENT_TIMEOUT: &str = "4s";

/// Why there is no database to work with, in words for an operator. The URL's password is never part of them.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL names neither of the two databases.
    #[error("the database URL must begin with `postgres://` or `sqlite:`")]
    Scheme,
    /// The URL cannot be read.
    #[error("the database URL is malformed: {0}")]
    Url(String),
    /// Nobody answers there, or it refuses us.
    #[error("cannot reach the database at {place}: {cause}; check that it runs and that the URL is right")]
    Unreachable {
        /// Host and port, or the file.
        place: String,
        /// What went wrong.
        cause: String,
    },
    /// The URL that is to be used from now on names another database.
    #[error("it names another server or database than before, which needs a restart")]
    AnotherDatabase,
    /// It only follows another server.
    #[error(
        "the database at {0} is a standby, which takes no changes; name the primary, or an address that leads to it"
    )]
    Standby(String),
    /// Another process serves from this file.
    #[error("another process is serving from {0}; stop it first, or give this one a file of its own")]
    InUse(String),
}

impl Store {
    /// Opens the database and makes sure that it answers.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, ConnectError> {
        if url.starts_with("sqlite:") {
            open_sqlite(url).await
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            open_postgres(url, max_connections).await
        } else {
            Err(ConnectError::Scheme)
        }
    }
}

impl Store {
    /// The same database through connections of its own, for what must not wait behind requests, nor they behind it. The
    /// embedded database has one connection and lends it to all.
    pub async fn set_apart(&self, url: &str) -> Result<Self, ConnectError> {
        match self {
            Self::Postgres(_) => open_postgres(url, SET_APART).await,
            Self::Sqlite(pool) => Ok(Self::Sqlite(pool.clone())),
        }
    }
}

impl Store {
    /// Opens new connections with the user and the password that a URL names now. It must be the same database: connections to
    /// another would stand beside those that are open.
    pub fn renew_credentials(&self, url: &str) -> Result<(), ConnectError> {
        let Self::Postgres(pool) = self else { return Err(ConnectError::AnotherDatabase) };
        let (new, old) = (postgres_options(url)?, pool.connect_options());
        let place = |options: &PgConnectOptions| {
            (options.get_host().to_owned(), options.get_port(), options.get_database().map(str::to_owned))
        };
        if place(&new) != place(&old) {
            return Err(ConnectError::AnotherDatabase);
        }
        pool.set_connect_options(new);
        Ok(())
    }
}

fn postgres_options(url: &str) -> Result<PgConnectOptions, ConnectError> {
    let options = PgConnectOptions::from_str(url).map_err(|error| ConnectError::Url(error.to_string()))?;
    Ok(options.application_name("countersign").options([
        ("statement_timeout", STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", STATEMENT_TIMEOUT),
    ]))
}

async fn open_postgres(url: &str, max_connections: u32) -> Result<Store, ConnectError> {
    let options = postgres_options(url)?;
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let met_a_standby = Arc::new(AtomicBool::new(false));
    let meets_one = Arc::clone(&met_a_standby);
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            let meets_one = Arc::clone(&meets_one);
            Box::pin(async move {
                let refusal = refuse_standby(connection).await;
                meets_one.store(refusal.is_err(), Ordering::Relaxed);
                refusal
            })
        })
        .before_acquire(|connection, state| {
            Box::pin(async move {
                if state.idle_for > CHECK_AFTER_IDLE {
                    lent::is_alive(connection).await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
        .map_err(|error| {
            if met_a_standby.load(Ordering::Relaxed) {
                return ConnectError::Standby(place);
            }
            ConnectError::Unreachable { place, cause: first_line(&error) }
        })?;
    Ok(Store::Postgres(pool))
}

/// A standby may be behind, and would vouch for what has been taken back.
async fn refuse_standby(connection: &mut PgConnection) -> sqlx::Result<()> {
    if sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await? {
        return Err(sqlx::Error::Protocol(
            "the server is a standby; it is asked again until it has taken over".to_owned(),
        ));
    }
    Ok(())
}

async fn open_sqlite(url: &str) -> Result<Store, ConnectError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| ConnectError::Url(error.to_string()))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5));
    let file = options.get_filename().to_owned();
    let unreachable = |cause: String| ConnectError::Unreachable { place: file.display().to_string(), cause };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| unreachable(error.to_string()))?;
    }
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options)
        .await
        .map_err(|error| unreachable(first_line(&error)))?;
    Ok(Store::Sqlite(pool))
}

pub(super) fn first_line(error: &sqlx::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The right to serve from an embedded database; held as long as the value lives.
///
/// Nodes that share a database tell each other of revocations through the cache, and the embedded cache reaches no other
/// process: two of them on one file would each believe what the other took back.
#[derive(Debug)]
pub struct FileLock(Option<File>);

impl FileLock {
    /// Takes the right for the file that `url` names; other databases need none.
    pub fn acquire(url: &str) -> Result<Self, ConnectError> {
        let Some(database) = sqlite_file(url) else { return Ok(Self(None)) };
        let path = PathBuf::from(format!("{}.lock", database.display()));
        let refused = |cause: std::io::Error| ConnectError::Unreachable {
            place: path.display().to_string(),
            cause: cause.to_string(),
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(refused)?;
        }
        let file = File::create(&path).map_err(refused)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(ConnectError::InUse(database.display().to_string())),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }

    /// Whether a file is held at all.
    #[must_use]
    pub const fn holds_file(&self) -> bool {
        self.0.is_some()
    }
}

/// The file behind an embedded database's URL; none for one that lives in memory.
fn sqlite_file(url: &str) -> Option<PathBuf> {
    let options = SqliteConnectOptions::from_str(url).ok().filter(|_| url.starts_with("sqlite:"))?;
    let file: &Path = options.get_filename();
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    (!in_memory).then(|| file.to_owned())
}
