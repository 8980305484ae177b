//! Visitors without an account.

use std::sync::Arc;

use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::guard::{Guard, GuardError};
use crate::model::{AccountId, ClientContext, RequestId};
use crate::random::Random;
use crate::token::{AccessError, AccessTokens, Issued};

/// The anonymous visitors of this installation. No row is kept of them.
#[derive(Debug)]
pub struct Visitors {
    /// Remembers who an intent was answered for.
    pub cache: Cache,
    /// Bounds how many there are.
    pub guard: Guard,
    /// Issues their tokens.
    pub access: Arc<AccessTokens>,
    /// The time.
    pub clock: Clock,
}

/// Why a visitor got no token.
#[derive(Debug, thiserror::Error)]
pub enum VisitorError {
    /// There are too many, or they could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The cache gives no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// No token can be issued.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl VisitorError {
    /// What kind of end this is, in one word.
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Guard(GuardError::Cache(_)) | Self::Cache(_) => "unavailable",
            Self::Guard(_) => "limited",
            Self::Access(error) if error.is_passing() => "unavailable",
            Self::Access(_) => "failed",
        }
    }
}

impl Visitors {
    /// A token for a visitor; a repeated intent is the same visitor.
    pub async fn welcome(
        &self,
        client: &ClientContext,
        client_id: &str,
        request_id: Option<RequestId>,
    ) -> Result<(AccountId, Issued), VisitorError> {
        self.guard.admit_anonymous(client.ip.into()).await?;
        let now = self.clock.now();
        let mut visitor = AccountId(Random.id(now));
        if let Some(intent) = request_id {
            let key = format!("{{visitor:intent:{intent}}}");
            let deadline = now + self.access.anonymous_lifetime();
            if let Some(known) = self.cache.put_if_absent(&key, visitor.0.as_bytes(), deadline).await? {
                visitor = uuid::Uuid::from_slice(&known).map_or(visitor, AccountId);
            }
        }
        Ok((visitor, self.access.issue_anonymous(visitor, client_id, now)?))
    }
}
