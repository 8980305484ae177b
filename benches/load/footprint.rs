//! What the embedded server costs before anybody calls it: time to start, and memory.

use std::time::Duration;

use tokio::time::sleep;

use crate::Result;
use crate::figures::{Budget, Figure, Report};
use crate::rounds::median;
use crate::server::Server;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["embedded_start", "idle_rss"];

/// How often it is started.
const STARTS: usize = 5;
/// After this long without a call it is at rest.
const REST: Duration = Duration::from_secs(2);

/// Starts the server a few times, each with an empty database, and looks at the last one once it is at rest.
pub(crate) async fn measure(core: usize, report: &mut Report) -> Result<()> {
    let mut times = Vec::with_capacity(STARTS);
    let mut memory = 0.0;
    for start in 1..=STARTS {
        let server = Server::embedded(core).await?;
        times.push(server.started_in.as_secs_f64() * 1e3);
        if start == STARTS {
            sleep(REST).await;
            memory = server.process.memory()?;
        }
    }
    report.add(
        Figure::new("embedded_start", median(times), "ms")
            .budget(Budget::AtMost(300.0))
            .remark(Some("from exec to SERVING, with a new database".to_owned())),
    );
    report.add(
        Figure::new("idle_rss", memory, "MiB")
            .budget(Budget::AtMost(30.0))
            .remark(Some("at rest after the start, before any call".to_owned())),
    );
    Ok(())
}
