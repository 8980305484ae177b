//! Passwords: which may be set, how they are hashed, and whether one is right. Who may try how often, and what follows, is
//! decided elsewhere.
//!
//! A hash costs tens of milliseconds and megabytes on purpose, so it is computed on threads of its own
//! (`docs/decisions/0006-passwords.md`).

mod argon;
mod common;
mod memory;
mod policy;
mod pool;
mod stored;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::thread;

use chrono::TimeDelta;

use self::argon::{ArgonHash, Cost};
use self::memory::Memory;
pub use self::policy::{NewPassword, Unfit};
use self::pool::{Place, Pool};
pub use self::stored::{StoredHash, UnfitHash};
use crate::config;
use crate::secret::Secret;

/// No password, ours or another system's, is longer than this many bytes.
const MOST_BYTES: usize = 4096;

/// The way passwords are handled here. Clones share the threads, which end with the last of them.
#[derive(Clone, Debug)]
pub struct Passwords {
    pool: Arc<Pool>,
    cost: Cost,
    memory_kib: u32,
    least: usize,
}

/// Whether a password is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right {
        /// Whether it should be hashed anew ([`Passwords::rehash`]), because its hash is not made as ours are.
        upgrade: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

/// Why a password could be neither hashed nor verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many wait already.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When those that wait now will have had their turn.
        retry_after: TimeDelta,
    },
    /// The computation failed: there is no memory left, or a library is at fault.
    #[error("a password could not be hashed")]
    Failed,
}

impl Passwords {
    /// Starts the threads. They end when the last clone is dropped.
    pub fn start(settings: &config::Password) -> io::Result<Self> {
        let cost =
            Cost::new(settings).ok_or_else(|| io::Error::other("the cost of a password's hash is out of bounds"))?;
        let threads = match settings.threads {
            0 => thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1),
            threads => threads,
        };
        let pool = Pool::start(threads, settings.memory_kib, settings.queue)?;
        Ok(Self { pool: Arc::new(pool), cost, memory_kib: settings.memory_kib, least: settings.minimum_length })
    }

    /// Judges a text that somebody wants as a password. `words` are what others know of them: identifiers, names, the name
    /// of the service.
    pub fn check(&self, text: &Secret<String>, words: &[&str]) -> Result<NewPassword, Unfit> {
        policy::check(text.expose(), self.least, words)
    }

    /// Hashes a password that has been judged.
    pub async fn hash(&self, password: NewPassword) -> Result<StoredHash, PasswordError> {
        let cost = self.cost.clone();
        let work = move |memory: &mut Memory| ArgonHash::make(&cost, password.0.expose().as_bytes(), memory);
        let hash = self.pool.run(Place::Own, work).await?.map_err(|_| PasswordError::Failed)?;
        Ok(StoredHash::own(hash))
    }

    /// Hashes a password anew that was right, whether or not it could still be chosen.
    pub async fn rehash(&self, text: &Secret<String>) -> Result<StoredHash, PasswordError> {
        self.hash(NewPassword(policy::normal(text.expose()))).await
    }

    /// Whether this is the password of somebody whose hash is this. For somebody without one, or nobody at all, it is
    /// wrong, and takes as long as one of our own hashes.
    pub async fn verify(&self, stored: Option<StoredHash>, text: &Secret<String>) -> Result<Verdict, PasswordError> {
        if text.expose().len() > MOST_BYTES {
            return Ok(Verdict::Wrong);
        }
        let place = stored.as_ref().map_or(Place::Own, |stored| stored.place(self.memory_kib));
        let (cost, text) = (self.cost.clone(), text.clone());
        let work = move |memory: &mut Memory| judge(stored.as_ref(), text.expose(), &cost, memory);
        self.pool.run(place, work).await?.map_err(|_| PasswordError::Failed)
    }

    /// How many threads are hashing.
    #[must_use]
    pub fn running(&self) -> usize {
        self.pool.running()
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// How many passwords wait for a thread.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pool.waiting()
    }

    /// How much memory hashing holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.pool.ledger().held() * 1024
    }
}

/// Verifies, on one of the threads.
fn judge(stored: Option<&StoredHash>, sent: &str, cost: &Cost, memory: &mut Memory) -> Result<Verdict, stored::Damage> {
    let dummy = || StoredHash::own(ArgonHash::dummy(cost));
    let hash = stored.cloned().unwrap_or_else(dummy);
    let normal = policy::normal(sent);
    let normal = normal.expose().as_str();
    // Ours are made of the normal form, others mostly of what was typed. Both are tried for both, so that a text in two
    // forms takes as long for somebody without a password as for anybody else.
    let (first, second) = if hash.is_foreign() { (sent, normal) } else { (normal, sent) };
    for text in [first].into_iter().chain((first != second).then_some(second)) {
        if hash.verify(text, memory)? && stored.is_some() {
            return Ok(Verdict::Right { upgrade: hash.wants_upgrade(cost, text, normal) });
        }
    }
    Ok(Verdict::Wrong)
}
