//! What each job does, and what it has to say of it.

use std::fmt;

use super::Upkeep;
use crate::events::Batch;
use crate::model::{Cause, KeyState, SigningKey};
use crate::store::{Purged, StoreError};
use crate::token::KeyringError;

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// So much was deleted.
    Purged {
        /// How much.
        purged: Purged,
        /// Whether that was all there was.
        is_whole: bool,
    },
    /// This step was taken, if one was due.
    Rotated(Option<Step>),
    /// Events were taken to where they are wanted.
    Relayed {
        /// How many.
        batch: Batch,
        /// Whether that was all there was.
        is_whole: bool,
    },
}

/// A step towards a new signing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// This key is published.
    Published(String),
    /// This key signs from now on.
    Signs(String),
}

impl Done {
    /// Whether there is nothing left to do.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        match self {
            Self::Purged { is_whole, .. } | Self::Relayed { is_whole, .. } => *is_whole,
            Self::Rotated(_) => true,
        }
    }

    /// Whether there was anything to do.
    #[must_use]
    pub fn is_something(&self) -> bool {
        match self {
            Self::Relayed { batch, .. } => *batch != Batch::default(),
            Self::Purged { purged, .. } => *purged != Purged::default(),
            Self::Rotated(step) => step.is_some(),
        }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Purged { purged, .. } => write!(f, "deleted {purged}"),
            Self::Relayed { batch, .. } => f.write_str(&told(batch)),
            Self::Rotated(None) => f.write_str("no step was due"),
            Self::Rotated(Some(Step::Published(kid))) => write!(f, "published key {kid}"),
            Self::Rotated(Some(Step::Signs(kid))) => write!(f, "key {kid} signs from now on"),
        }
    }
}

fn told(batch: &Batch) -> String {
    let Batch { delivered, refused, dead, .. } = batch;
    format!("{delivered} events delivered, {refused} refused, {dead} given up")
}

/// Why a job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Somebody who is to get events.
    #[error("{}; cannot be reached: {away}", told(batch))]
    Away {
        /// What has reached the others.
        batch: Batch,
        /// Who, and why.
        away: String,
    },
}

impl Upkeep {
    pub(super) async fn purge(&self, cause: &Cause, goes_on: impl Fn() -> bool) -> Result<Done, WorkError> {
        let purged = self.store.purge_while(self.event_retention, cause, &goes_on).await?;
        Ok(Done::Purged { purged, is_whole: goes_on() })
    }

    pub(super) async fn relay(&self, goes_on: impl Fn() -> bool) -> Result<Done, WorkError> {
        let batch = self.relay.pass(&goes_on).await?;
        match batch.away.clone() {
            Some(away) => Err(WorkError::Away { batch, away }),
            None => Ok(Done::Relayed { batch, is_whole: goes_on() }),
        }
    }

    pub(super) async fn rotate_keys(&self, cause: &Cause) -> Result<Done, WorkError> {
        let before = self.keyring.keys().records.clone();
        self.keyring.rotate_if_due(cause).await?;
        let after = self.keyring.keys();
        let in_state = |keys: &[SigningKey], state| {
            keys.iter().find(|key| key.state == state).map(|key| key.kid.clone()).unwrap_or_default()
        };
        let is_new = |state| {
            let now = in_state(&after.records, state);
            (now != in_state(&before, state) && !now.is_empty()).then_some(now)
        };
        let signs = is_new(KeyState::Active).map(Step::Signs);
        Ok(Done::Rotated(signs.or_else(|| is_new(KeyState::Pending).map(Step::Published))))
    }
}
