//! Counters that are counted together: all of them or none. Owns what is asked of the backends and what they answer.

use chrono::{DateTime, Utc};

use super::Count;

/// More than any limit: the largest whole number that a script in Redis counts exactly.
pub(super) const ENDLESS: i64 = (1 << 53) - 1;

/// One of several counters that are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its key. In one call no two counters share a key, and all keys, the reliefs' included, share a hash tag.
    pub key: String,
    /// How much is added. What is taken away never makes a counter negative, and is never refused.
    pub add: i64,
    /// Up to what it may count.
    pub limit: u64,
    /// When its window ends.
    pub deadline: DateTime<Utc>,
    /// Whether each count moves the end of the window, and not the first alone.
    pub renews: bool,
    /// What lifts its limit.
    pub relief: Relief,
}

/// What lifts the limit of a counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Relief {
    /// Nothing does.
    #[default]
    None,
    /// While there is a value under this key, the counter is neither judged nor counted.
    Waived {
        /// The key.
        by: String,
    },
    /// The limit is at least so many times another counter.
    Earned {
        /// The key of the other counter.
        by: String,
        /// How many times.
        each: u32,
    },
}

/// What became of counters that were to be counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tally {
    /// All were counted. Where each stands, in their order.
    Counted(Vec<Count>),
    /// None was counted, since one had no room.
    Full {
        /// The place of the first that had none.
        at: usize,
        /// Where it stands.
        count: Count,
    },
}

impl Counter {
    /// Counts one up to a limit.
    #[must_use]
    pub const fn up(key: String, limit: u64, deadline: DateTime<Utc>) -> Self {
        Self { key, add: 1, limit, deadline, renews: false, relief: Relief::None }
    }

    /// Counts one without a limit.
    #[must_use]
    pub const fn endless(key: String, deadline: DateTime<Utc>) -> Self {
        Self::up(key, ENDLESS.unsigned_abs(), deadline)
    }

    /// Takes one back.
    #[must_use]
    pub fn back(key: String, deadline: DateTime<Utc>) -> Self {
        Self { add: -1, ..Self::up(key, 0, deadline) }
    }

    /// Begins anew.
    #[must_use]
    pub fn clear(key: String, deadline: DateTime<Utc>) -> Self {
        Self { add: -ENDLESS, ..Self::up(key, 0, deadline) }
    }

    /// Adds another amount than one.
    #[must_use]
    pub fn by(self, add: i64) -> Self {
        Self { add, ..self }
    }

    /// Lets each count move the end of the window.
    #[must_use]
    pub fn renewing(self) -> Self {
        Self { renews: true, ..self }
    }

    /// Has its limit lifted by something.
    #[must_use]
    pub fn relieved(self, relief: Relief) -> Self {
        Self { relief, ..self }
    }
}

impl Relief {
    /// The key that it looks at.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Waived { by } | Self::Earned { by, .. } => Some(by),
        }
    }
}
