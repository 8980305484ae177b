//! What a million live revocations cost a node: memory, and time for each introspection.

use std::time::Duration;

use chrono::TimeDelta;
use countersign::clock::Clock;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::Result;
use crate::figures::{Budget, Figure, Report};
use crate::introspect::Questions;
use crate::rounds::{Plan, interleaved};
use crate::server::{Server, embedded_database};
use crate::unary::{CPU, RATE};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["revocations_1m_rss", "introspect_with_1m_revocations"];

const REVOCATIONS: u32 = 1_000_000;
/// After this long without a call a server is at rest.
const REST: Duration = Duration::from_secs(2);

/// As many tokens as sessions and accounts, none of which anybody asks about.
const REVOKE: &str = "
    INSERT INTO revocations (kind, target, revoked_at, expires_at, reason)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1)
    SELECT CASE n % 3 WHEN 0 THEN 'token' WHEN 1 THEN 'session' ELSE 'account' END, randomblob(16), $2, $3, 'benchmark'
    FROM numbers";

/// Starts two servers whose databases differ in that alone. Both have just been started when they are measured, so that
/// what a node does in its first minute is part of the figure: each second it reads its last few thousand rows again.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let (without, ask_without) = prepare(core, false).await?;
    let (with, ask_with) = prepare(core, true).await?;
    sleep(REST).await;
    report.add(
        Figure::new("revocations_1m_rss", with.process.memory()? - without.process.memory()?, "MiB")
            .budget(Budget::AtMost(100.0))
            .remark(Some("beyond that of a server with none, both at rest".to_owned())),
    );
    let (without, with) = (without.target(ask_without.unary()), with.target(ask_with.unary()));
    let [without, with] = interleaved([&without, &with], plan).await?;
    // Both share a core, and each has its own work to do while the other is asked. Rates would put that on the wrong one.
    let rates = with.ratio(&without, RATE);
    report.add(
        Figure::new("introspect_with_1m_revocations", with.median(RATE), "calls/s")
            .ratio(without.ratio(&with, CPU))
            .budget(Budget::AtLeast(0.95))
            .remark(Some(format!("calls for the same CPU time; by rate the ratio is {rates:.2}"))),
    );
    Ok(())
}

/// A server that has just been started, and people who signed in on it before.
async fn prepare(core: usize, revoked: bool) -> Result<(Server, Questions)> {
    let server = Server::embedded(core).await?;
    let questions = Questions::ask(&server).await?;
    let folder = server.into_folder();
    if revoked {
        revoke(&folder).await?;
    }
    Ok((Server::in_folder(core, folder).await?, questions))
}

async fn revoke(folder: &TempDir) -> Result<()> {
    let mut connection = SqliteConnection::connect(&embedded_database(folder)).await?;
    let now = Clock::System.now();
    let inserted =
        sqlx::query(REVOKE).bind(REVOCATIONS).bind(now).bind(now + TimeDelta::days(1)).execute(&mut connection).await?;
    connection.close().await?;
    if inserted.rows_affected() == u64::from(REVOCATIONS) {
        Ok(())
    } else {
        Err(format!("{} revocations were written", inserted.rows_affected()).into())
    }
}
