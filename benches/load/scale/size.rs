//! What rows take on disk, and by which way the database found them.

use std::fmt::Write;

use sqlx::{Connection, PgConnection, Row};

use super::population::Population;
use crate::Result;
use crate::figures::{Budget, Figure, Report};

const TABLES: [(&str, &str); 3] =
    [("accounts", "scale_account_bytes"), ("sessions", "scale_session_bytes"), ("events", "scale_event_bytes")];

/// How often a table was read from end to end.
pub(crate) type Scans = i64;

/// Bytes of a row with its share of the indexes.
pub(crate) async fn report(database: &str, population: &Population, report: &mut Report) -> Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    for (table, name) in TABLES {
        let [whole, heap]: [i64; 2] = {
            let row = sqlx::query("SELECT pg_total_relation_size($1::regclass), pg_table_size($1::regclass)")
                .bind(table)
                .fetch_one(&mut connection)
                .await?;
            [row.try_get(0)?, row.try_get(1)?]
        };
        let rows: i64 = sqlx::query_scalar("SELECT reltuples::bigint FROM pg_class WHERE oid = $1::regclass")
            .bind(table)
            .fetch_one(&mut connection)
            .await?;
        let indexes = sqlx::query(
            "SELECT indexrelname, pg_relation_size(indexrelid) FROM pg_stat_user_indexes WHERE relname = $1 ORDER BY 2 DESC",
        )
        .bind(table)
        .fetch_all(&mut connection)
        .await?;
        let mut remark = format!("the row {:.0}", each(heap, rows));
        for index in indexes {
            let (name, size): (String, i64) = (index.try_get(0)?, index.try_get(1)?);
            if each(size, rows) >= 1.0 {
                write!(remark, ", {name} {:.0}", each(size, rows))?;
            }
        }
        report.add(Figure::new(name, each(whole, rows), "bytes").remark(Some(remark)));
    }
    let whole: i64 =
        sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(&mut connection).await?;
    report.add(
        Figure::new("scale_database", each(whole, 1) / f64::from(1 << 30), "GiB")
            .remark(Some(format!("{} accounts, {} sessions", population.accounts, population.sessions))),
    );
    connection.close().await?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "sizes are told with four digits")]
fn each(bytes: i64, rows: i64) -> f64 {
    bytes as f64 / rows.max(1) as f64
}

/// How often accounts, sessions and events have been read from end to end so far.
pub(crate) async fn scans(database: &str) -> Result<Scans> {
    let mut connection = PgConnection::connect(database).await?;
    let scans = sqlx::query_scalar(
        "SELECT coalesce(sum(seq_scan), 0)::bigint FROM pg_stat_user_tables
         WHERE relname IN ('accounts', 'sessions', 'events')",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(scans)
}

/// Whether anything was read from end to end since, and which indexes were used.
pub(crate) async fn usage(database: &str, before: Scans, report: &mut Report) -> Result<()> {
    // The database's own books are some hundred milliseconds behind.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let since = scans(database).await? - before;
    let mut connection = PgConnection::connect(database).await?;
    let rows = sqlx::query(
        "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes
         WHERE relname IN ('accounts', 'sessions', 'events') ORDER BY idx_scan DESC",
    )
    .fetch_all(&mut connection)
    .await?;
    let uses = rows.iter().map(|row| Ok(format!("{} {}", row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)?)));
    let uses = uses.collect::<Result<Vec<_>>>()?.join(", ");
    #[expect(clippy::cast_precision_loss, reason = "a handful at most")]
    let since = since as f64;
    report.add(Figure::new("scale_sequential_scans", since, "scans").budget(Budget::AtMost(0.0)).remark(Some(uses)));
    connection.close().await?;
    Ok(())
}
