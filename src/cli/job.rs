//! `countersign job`: what is done again and again, straight on the database beside running nodes.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;

use super::Failure;
use super::operate::{by_operator, open};
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{Job, RunOutcome};
use crate::upkeep::{Standing, Upkeep};

#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// List the jobs: how often each is done by itself, how it went the last time, and when it is due.
    List,
    /// Do a job now, whether or not it is due.
    Run {
        /// `purge`, `rotate-keys` or `relay`. The last is for where no node relays (`events.poll_every = "never"`).
        name: Job,
    },
}

impl JobCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let (upkeep, clock) = upkeep(&config).await?;
        match self {
            Self::List => upkeep.standings().await?.iter().for_each(print),
            Self::Run { name } => println!("{}", done(&upkeep, name, &clock).await?),
        }
        Ok(())
    }
}

/// `countersign purge`, which is older than jobs.
pub(super) async fn purge(config: Config) -> Result<(), Failure> {
    let (upkeep, clock) = upkeep(&config).await?;
    println!("{}", done(&upkeep, Job::Purge, &clock).await?);
    Ok(())
}

async fn upkeep(config: &Config) -> Result<(Arc<Upkeep>, Clock), Failure> {
    let (store, clock) = open(config).await?;
    Ok((Arc::new(app::upkeep(config, store, clock.clone()).await?), clock))
}

async fn done(upkeep: &Arc<Upkeep>, job: Job, clock: &Clock) -> Result<String, Failure> {
    let finished = upkeep.run(job, &by_operator(clock)).await?;
    finished.done?;
    Ok(finished.run.detail)
}

fn print(standing: &Standing) {
    let Standing { job, every, record, next_at, is_running } = standing;
    let every = every.map_or_else(|| "never by itself".to_owned(), |every| format!("every {}", span(every)));
    println!("{job}  {every}");
    if let Some(next) = next_at {
        println!("  next          {}", time(*next));
    }
    if *is_running {
        println!("  running");
    }
    match &record.last {
        Some(last) => {
            let outcome = last.outcome.as_str();
            println!(
                "  last          {}  {outcome}: {}  (asked for by {})",
                time(last.finished_at),
                last.detail,
                last.actor
            );
            if last.outcome != RunOutcome::Succeeded {
                let success = record.succeeded_at.map_or_else(|| "never".to_owned(), time);
                println!("  last success  {success}");
            }
        }
        None => println!("  last          never"),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    let (number, unit) = match seconds {
        0 => (span.num_milliseconds(), "ms"),
        _ if seconds % 86_400 == 0 => (seconds / 86_400, "d"),
        _ if seconds % 3_600 == 0 => (seconds / 3_600, "h"),
        _ if seconds % 60 == 0 => (seconds / 60, "m"),
        _ => (seconds, "s"),
    };
    format!("{number}{unit}")
}
