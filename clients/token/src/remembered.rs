//! Tokens whose signature has been found good. Owns that no token is verified twice while it is remembered, and that a key
//! that is gone verifies nothing.

use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;

use super::{AccessClaims, KeySet, MAX_COMPACT_BYTES, Rejection, read_access_token};

/// A token that a known key has signed, whether or not it counts.
#[derive(Debug)]
pub struct Known<N> {
    /// What it says.
    pub claims: AccessClaims,
    /// Which key signed it.
    pub kid: String,
    /// When it was issued, to the millisecond: its identifier tells more exactly than its `iat`.
    pub issued_at: DateTime<Utc>,
    /// What whoever remembers it has made of it. Filled in by whoever needs it first.
    pub note: OnceLock<N>,
}

impl<N> Known<N> {
    fn new(claims: AccessClaims, kid: String) -> Self {
        let exact = claims.jti.0.get_timestamp().and_then(|timestamp| {
            let (seconds, nanos) = timestamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        let issued_at = exact.or_else(|| DateTime::from_timestamp(claims.iat, 0)).unwrap_or(DateTime::UNIX_EPOCH);
        Self { claims, kid, issued_at, note: OnceLock::new() }
    }
}

/// Tokens by their whole text: found by a quick hash and then compared to the letter, so that no other text can pass for one
/// of them. Never a verdict: that is made anew each time.
#[derive(Debug)]
pub struct Remembered<N> {
    tokens: Cache<Box<str>, Arc<Known<N>>>,
}

impl<N: Clone> Remembered<N> {
    /// Remembers so many, the ones that are asked for most.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { tokens: Cache::new(capacity) }
    }

    /// A token that one of `keys` has signed, whether or not it counts any more.
    pub fn read(&self, token: &str, keys: &KeySet) -> Result<Arc<Known<N>>, Rejection> {
        if token.len() > MAX_COMPACT_BYTES {
            return Err(Rejection::TooLong);
        }
        if let Some(known) = self.tokens.get(token) {
            // A key that is gone verifies nothing, whatever it verified before.
            return if keys.by_kid(&known.kid).is_some() { Ok(known) } else { Err(Rejection::UnknownKey) };
        }
        let (kid, claims) = read_access_token(token, keys)?;
        let known = Arc::new(Known::new(claims, kid));
        self.tokens.insert(token.into(), Arc::clone(&known));
        Ok(known)
    }
}
