//! What is done again and again to keep an installation in order, and how it went the last time.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Something that is done again and again, by one node for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Deletes what has expired.
    Purge,
    /// Takes the next step towards a new signing key, where one is due.
    RotateKeys,
    /// Brings events to where they are wanted.
    Relay,
}

impl Job {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Purge, Self::RotateKeys, Self::Relay];

    /// What it is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purge => "purge",
            Self::RotateKeys => "rotate-keys",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of a job")]
pub struct UnknownJob;

impl FromStr for Job {
    type Err = UnknownJob;

    fn from_str(name: &str) -> Result<Self, UnknownJob> {
        Self::ALL.into_iter().find(|job| job.as_str() == name).ok_or(UnknownJob)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It did what there was to do.
    Succeeded,
    /// It did not; why is in the log of the node that ran it.
    Failed,
    /// Its node left before it was done. The next run goes on.
    Interrupted,
}

impl RunOutcome {
    /// What it is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One run of a job that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// How.
    pub outcome: RunOutcome,
    /// A word on what it did, or on why it did not.
    pub detail: String,
    /// Who asked for it, as the audit trail names them.
    pub actor: String,
}

/// What the nodes of an installation know of a job's past, all of them the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// When a run last began.
    pub begun_at: Option<DateTime<Utc>>,
    /// The last run that is over.
    pub last: Option<Run>,
    /// When one last succeeded.
    pub succeeded_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_known_by_its_name() {
        for job in Job::ALL {
            assert_eq!(job.as_str().parse(), Ok(job));
        }
        assert_eq!("Purge".parse::<Job>(), Err(UnknownJob));
    }
}
