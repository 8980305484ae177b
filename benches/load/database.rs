//! A PostgreSQL database that a run has for itself.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Result, services};

/// A database of this run's own.
pub(crate) struct Database {
    server: String,
    name: String,
    pub(crate) url: String,
}

impl Database {
    /// Creates it, on a server that flushes to disk.
    pub(crate) async fn create() -> Result<Self> {
        Self::named("bench").await
    }

    /// The same where there are several.
    pub(crate) async fn named(name: &str) -> Result<Self> {
        let server = services::url(services::POSTGRES)?;
        let name = format!("countersign_{name}_{}", std::process::id());
        let mut connection = PgConnection::connect(&server).await?;
        let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut connection).await?;
        if fsync != "on" {
            return Err(
                "the PostgreSQL server does not flush to disk, which nobody's does: use `scripts/with-services \
                        --durable`"
                    .into(),
            );
        }
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        let (base, options) = server.split_once('?').map_or((server.as_str(), ""), |(base, options)| (base, options));
        let (base, _) = base.rsplit_once('/').ok_or("the PostgreSQL URL does not name a database")?;
        let url = format!("{base}/{name}?{options}");
        Ok(Self { server, name, url })
    }

    /// Drops it, whoever is connected.
    pub(crate) async fn drop(self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(())
    }
}
