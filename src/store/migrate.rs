//! Bringing a database to the shape this release needs.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, PgPool, SqlSafeStr};

use super::Store;

/// Every migration there has been, in order. They are never changed once released, only added to.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "foundation", include_str!("../../migrations/0001_foundation.sql")),
    (2, "accounts", include_str!("../../migrations/0002_accounts.sql")),
    (3, "certificates", include_str!("../../migrations/0003_certificates.sql")),
    (4, "outbox", include_str!("../../migrations/0004_outbox.sql")),
    (5, "webhooks", include_str!("../../migrations/0005_webhooks.sql")),
];

/// Why the database could not be brought to its shape.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// It has seen a later release.
    #[error("the database was migrated by a newer release than this one; run that release or a later one")]
    Newer,
    /// A statement failed.
    #[error("migrating the database failed: {0}")]
    Failed(#[source] sqlx::migrate::MigrateError),
}

impl Store {
    /// Applies what has not been applied yet. Nodes that start together wait for one another.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        let migrator = Migrator::with_migrations(self.migrations());
        let migrated = match self {
            Self::Postgres(pool) => migrate_postgres(&migrator, pool).await,
            Self::Sqlite(pool) => migrator.run(pool).await,
        };
        migrated.map_err(|error| match error {
            sqlx::migrate::MigrateError::VersionMissing(_) => MigrateError::Newer,
            other => MigrateError::Failed(other),
        })
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

/// On a connection of its own, without the bound that requests have: a change to a large table takes its time, and so does
/// waiting for another node that makes it.
async fn migrate_postgres(migrator: &Migrator, pool: &PgPool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut connection = sqlx::PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::query("SET statement_timeout = 0").execute(&mut connection).await?;
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}
