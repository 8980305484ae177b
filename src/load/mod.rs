//! How much a node takes on at a time. Whatever it cannot do soon is turned away before anything is done for it, the least urgent
//! first and introspection never: other services stand still without that.
//!
//! All of it is counted in this node's memory, and looked at without waiting. What may happen how often in the whole
//! installation, such as messages and guesses, is for `guard`.

mod lateness;
mod places;
mod quota;

use std::net::IpAddr;

pub use self::lateness::Lateness;
pub use self::places::Place;
use self::places::Places;
pub use self::quota::Turn;
use self::quota::{Quotas, Strangers};
use crate::clock::Clock;
use crate::config;
use crate::metrics::Metrics;
use crate::model::Caller;

/// How urgent a call is. The order is that in which calls are turned away, from the end on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Whether the node is well. Neither counted nor turned away.
    Vital,
    /// Whether a token counts. Answered from memory, and never turned away.
    Tokens,
    /// What keeps people signed in, and signs them out.
    Sessions,
    /// Signing in, and one's own account.
    SignIns,
    /// Administration, lists and imports.
    Rest,
    /// What goes on for as long as somebody likes, and so holds no place. It waits for what the loop can bear alone.
    OpenEnded,
}

impl Class {
    /// Whether a call holds one of the node's places while it is worked on.
    #[must_use]
    pub const fn takes_a_place(self) -> bool {
        matches!(self, Self::Sessions | Self::SignIns | Self::Rest)
    }
}

/// A call is turned away, because there is more to do than can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shed {
    /// All places that its class may have are taken.
    #[error("too many calls are being worked on")]
    Full,
    /// Event loops are late.
    #[error("calls are answered late")]
    Late,
}

/// Somebody takes more than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{limit}` is reached")]
pub struct Exceeded {
    /// Its name in the configuration.
    pub limit: &'static str,
    /// In how many microseconds there is room again, as far as that can be told.
    pub retry_after: i64,
}

/// What a node takes on.
#[derive(Debug)]
pub struct Load {
    places: Places,
    quotas: Quotas,
    strangers: Option<Strangers>,
    clock: Clock,
    metrics: Metrics,
}

impl Load {
    /// Nothing taken on yet.
    #[must_use]
    pub fn new(load: &config::Load, callers: &config::Callers, clock: Clock, metrics: Metrics) -> Self {
        Self {
            places: Places::new(load.calls, metrics.clone()),
            quotas: Quotas::new(callers),
            strangers: callers.strangers_per_second.map(Strangers::new),
            clock,
            metrics,
        }
    }

    /// Whether a call could be taken on now, on a loop that is so late.
    pub fn look(&self, class: Class, lateness: &Lateness) -> Result<(), Shed> {
        self.bear(class, lateness)?;
        if class.takes_a_place() && !self.places.has_room(class) {
            return Err(self.full());
        }
        Ok(())
    }

    /// Takes on a call of a class that takes a place. It is over when the place is dropped.
    pub fn take_on(&self, class: Class) -> Result<Place, Shed> {
        self.places.take(class).ok_or_else(|| self.full())
    }

    fn full(&self) -> Shed {
        self.metrics.shed("calls");
        Shed::Full
    }

    /// Whether a loop that is so late can bear such a call.
    pub fn bear(&self, class: Class, lateness: &Lateness) -> Result<(), Shed> {
        if lateness.bears(class) {
            return Ok(());
        }
        self.metrics.shed("late");
        Err(Shed::Late)
    }

    /// A caller's turn, which ends when it is dropped. Most have no limit, and need none.
    pub fn turn_of(&self, caller: &Caller) -> Result<Option<Turn>, Exceeded> {
        if self.quotas.are_none() {
            return Ok(None);
        }
        self.quotas.turn_of(caller, &self.clock).inspect_err(|exceeded| {
            self.metrics.caller_refused(exceeded.limit);
            tracing::debug!(caller = %caller.name, limit = exceeded.limit, "a caller takes more than it may");
        })
    }

    /// Counts a call from an address that shows no caller's credential.
    pub fn count_stranger(&self, address: IpAddr) -> Result<(), Exceeded> {
        let Some(strangers) = &self.strangers else { return Ok(()) };
        strangers.count(address, self.clock.now()).inspect_err(|exceeded| self.metrics.caller_refused(exceeded.limit))
    }
}
