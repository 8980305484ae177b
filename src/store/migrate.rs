//! Bringing a database to the shape this release needs.

use std::borrow::Cow;
use std::time::Duration;

use futures_util::TryFutureExt;
use sqlx::error::DatabaseError;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgPool, SqlSafeStr};
use tracing::info;

use super::{Store, StoreError, in_time, on_pool, span};

/// Every migration there has been, in order. They are never changed once released, only added to.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "foundation", include_str!("../../migrations/0001_foundation.sql")),
    (2, "accounts", include_str!("../../migrations/0002_accounts.sql")),
    (3, "certificates", include_str!("../../migrations/0003_certificates.sql")),
    (4, "outbox", include_str!("../../migrations/0004_outbox.sql")),
    (5, "webhooks", include_str!("../../migrations/0005_webhooks.sql")),
    (6, "due", include_str!("../../migrations/0006_due.sql")),
];

/// The last of them.
pub const NEWEST_MIGRATION: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// Under which name it is kept which releases can work with this database: those that know at least this migration. A migration
/// that takes something away from the releases before it writes that down itself, by a statement that makes the row where there is
/// none: `docs/decisions/0012-migrations.md` has it.
const COMPATIBLE_FROM: &str = "schema.compatible_from";
/// What has been added up to now takes nothing away from anybody.
const EVERY_RELEASE: &str = "1";

/// Why the database cannot be worked with, or could not be brought to its shape.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later release took something away that this one needs.
    #[error(
        "the database was migrated by a newer release than this one, which cannot work with it any more \
         (migration {applied}; this release knows {known}); run that release or a later one"
    )]
    Newer {
        /// The last migration that was applied.
        applied: i64,
        /// The last that this release knows.
        known: i64,
    },
    /// It lacks something that this release needs.
    #[error(
        "the database lacks migration {missing}, and database.migrate is off; run `countersign migrate` of this release first"
    )]
    Older {
        /// The first that was not applied.
        missing: i64,
    },
    /// What was applied cannot be told.
    #[error("which migrations were applied cannot be told: {0}")]
    Unknown(#[from] StoreError),
    /// A statement failed.
    #[error("migrating the database failed: {0}")]
    Failed(#[source] sqlx::migrate::MigrateError),
}

impl Store {
    /// Makes sure that this release can work with the database: by migrating it, or, where that is left to somebody else, by
    /// looking.
    pub async fn bring_to_shape(&self, migrate: bool) -> Result<(), MigrateError> {
        if migrate { self.migrate().await } else { self.check_shape().await }
    }

    /// Applies what has not been applied yet. Nodes that start together wait for one another. What a later release has added
    /// stays as it is.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        self.migrate_up_to(i64::MAX).await
    }

    /// The same, but for those after one: which leaves the database as the release had it that this was the last of.
    pub async fn migrate_up_to(&self, last: i64) -> Result<(), MigrateError> {
        self.refuse_newer().await?;
        let known = self.migrations().into_iter().filter(|migration| migration.version <= last);
        let mut migrator = Migrator::with_migrations(known.collect());
        migrator.set_ignore_missing(true);
        let migrated = match self {
            Self::Postgres(pool) => migrate_postgres(&migrator, pool).await,
            Self::Sqlite(pool) => migrator.run(pool).await,
        };
        migrated.map_err(MigrateError::Failed)?;
        self.agree_on_setting(COMPATIBLE_FROM, EVERY_RELEASE).await?;
        Ok(())
    }

    async fn check_shape(&self) -> Result<(), MigrateError> {
        let applied = self.refuse_newer().await?;
        let missing = MIGRATIONS.iter().map(|&(version, ..)| version).find(|version| !applied.contains(version));
        missing.map_or(Ok(()), |missing| Err(MigrateError::Older { missing }))
    }

    /// What was applied, if this release can work with that. Where nobody wrote down who can, only those can who know it all.
    async fn refuse_newer(&self) -> Result<Vec<i64>, MigrateError> {
        let applied = self.applied_migrations().await?;
        let (last, known) = (applied.iter().copied().max().unwrap_or(0), NEWEST_MIGRATION);
        if last > known {
            let from = self.setting(COMPATIBLE_FROM).await?.and_then(|text| text.parse::<i64>().ok());
            if from.is_none_or(|from| from > known) {
                return Err(MigrateError::Newer { applied: last, known });
            }
        }
        Ok(applied)
    }

    /// The migrations that were applied to their end. Before the first there is not even the table that says so.
    async fn applied_migrations(&self) -> Result<Vec<i64>, StoreError> {
        const TABLE: &str = "_sqlx_migrations";
        let is_there: i64 = match self {
            Self::Postgres(pool) => in_time(
                span!("query", self),
                sqlx::query_scalar(
                    "SELECT COUNT(*) FROM pg_tables WHERE tablename = $1 AND schemaname = ANY (current_schemas(false))",
                )
                .bind(TABLE)
                .fetch_one(pool)
                .map_err(StoreError::from),
            )
            .await?,
            Self::Sqlite(pool) => {
                in_time(
                    span!("query", self),
                    sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1")
                        .bind(TABLE)
                        .fetch_one(pool)
                        .map_err(StoreError::from),
                )
                .await?
            }
        };
        if is_there == 0 {
            return Ok(Vec::new());
        }
        let rows: Vec<(i64,)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
            .fetch_all(pool).await)?;
        Ok(rows.into_iter().map(|(version,)| version).collect())
    }

    fn migrations(&self) -> Vec<Migration> {
        let translate = |sql: &'static str| match self {
            Self::Postgres(_) => without_part_of("SQLite", sql),
            Self::Sqlite(_) => {
                let sql = without_part_of("PostgreSQL", sql);
                let sql = sql.replace("BIGSERIAL PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT");
                Cow::Owned(sql.replace(" COLLATE \"C\"", ""))
            }
        };
        MIGRATIONS
            .iter()
            .map(|&(version, name, sql)| {
                let sql = AssertSqlSafe(translate(sql).into_owned()).into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect()
    }
}

/// A migration without what only the other database understands: what stands between `-- only NAME:` and the next line of
/// that kind, or `-- both again:`.
fn without_part_of<'s>(other: &str, sql: &'s str) -> Cow<'s, str> {
    if !sql.contains("\n-- only ") {
        return Cow::Borrowed(sql);
    }
    let mut is_ours = true;
    let ours = sql.lines().filter(|line| {
        if let Some(name) = line.strip_prefix("-- only ") {
            is_ours = name.trim_end_matches(':') != other;
        } else if *line == "-- both again:" {
            is_ours = true;
        }
        is_ours
    });
    Cow::Owned(ours.collect::<Vec<_>>().join("\n"))
}

/// How long a change waits at a time for those who use the table: whoever comes meanwhile has to wait behind it.
const LOCK_TIMEOUT: &str = "1s";
/// How long those go first then.
const GO_FIRST: Duration = Duration::from_secs(2);
/// The refusal of whoever has waited for as long as that.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// On a connection of its own, without the bound that requests have: a change to a large table takes its time, and so does
/// waiting for another node that makes it.
async fn migrate_postgres(migrator: &Migrator, pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut has_told = false;
    loop {
        let mut connection = sqlx::PgConnection::connect_with(&pool.connect_options()).await?;
        let settings = format!("SET statement_timeout = 0; SET lock_timeout = '{LOCK_TIMEOUT}'");
        sqlx::raw_sql(AssertSqlSafe(settings)).execute(&mut connection).await?;
        let outcome = migrator.run(&mut connection).await;
        // With it goes what it has locked for the migrator itself, however that has ended.
        let closed = connection.close().await;
        match outcome {
            Err(error) if is_kept_waiting(&error) => {
                if !has_told {
                    info!(%error, "the migration waits for another one, or for whoever uses a table that it changes");
                }
                has_told = true;
                tokio::time::sleep(GO_FIRST).await;
            }
            outcome => return outcome.and(closed.map_err(Into::into)),
        }
    }
}

fn is_kept_waiting(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
    let (Execute(cause) | ExecuteMigration(cause, _)) = error else { return false };
    cause.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements, in capitals and without comments.
    fn statements(sql: &str) -> Vec<String> {
        let code = |line: &str| line.split_once("--").map_or(line, |(code, _)| code).to_ascii_uppercase();
        let text = sql.lines().map(code).collect::<Vec<_>>().join(" ");
        let statements = text.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "));
        statements.filter(|statement| !statement.is_empty()).collect()
    }

    /// Whether it says who can still work with it, on a database as well in which nobody has said so before.
    fn says_who(sql: &str) -> bool {
        let name = format!("'{COMPATIBLE_FROM}'").to_ascii_uppercase();
        statements(sql).iter().any(|statement| {
            statement.starts_with("INSERT INTO SETTINGS")
                && statement.contains(&name)
                && statement.contains("ON CONFLICT (NAME) DO UPDATE")
        })
    }

    /// What takes something away from a release that does not expect it. A new column is no such thing as long as it may be null
    /// or has a default.
    fn contracts(sql: &str) -> bool {
        statements(sql).iter().any(|statement| {
            let adds_strictly = statement.contains(" ADD COLUMN ")
                && statement.contains("NOT NULL")
                && !statement.contains(" DEFAULT ");
            ["DROP TABLE", "DROP COLUMN", "RENAME ", "SET NOT NULL", "ADD CONSTRAINT", "TYPE "]
                .iter()
                .any(|word| statement.contains(word) && statement.starts_with("ALTER") || statement.starts_with(word))
                || adds_strictly
        })
    }

    #[test]
    fn whatever_takes_something_away_says_who_can_still_work_with_it() {
        for (version, name, sql) in MIGRATIONS {
            assert!(!contracts(sql) || says_who(sql), "{version} {name}");
        }
        assert!(says_who(
            "INSERT INTO settings (name, value) VALUES ('schema.compatible_from', '7')
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value; -- from now on"
        ));
        assert!(!says_who("-- schema.compatible_from\nDROP TABLE a;"));
        assert!(!says_who("UPDATE settings SET value = '7' WHERE name = 'schema.compatible_from';"));
        assert!(contracts("-- x\nALTER TABLE accounts DROP COLUMN phone;"));
        assert!(contracts("ALTER TABLE accounts ADD COLUMN phone TEXT NOT NULL;"));
        assert!(contracts("ALTER TABLE accounts RENAME COLUMN a TO b"));
        assert!(!contracts(
            "ALTER TABLE accounts ADD COLUMN phone TEXT NOT NULL DEFAULT '';\nCREATE TABLE a (b TEXT);"
        ));
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        let versions: Vec<_> = MIGRATIONS.iter().map(|&(version, ..)| version).collect();
        assert_eq!(versions, (1..=NEWEST_MIGRATION).collect::<Vec<_>>());
    }
}
