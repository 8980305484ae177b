//! The keys that tokens are verified with. Owns looking them up by name, and reading a whole JWK Set.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde_json::Value;

use super::json::{self, JsonError};
use super::jwk::PublicJwk;
use super::public_key::{KeyError, PublicKey};

/// The longest JWK Set that is read, in bytes.
pub const MAX_JWKS_BYTES: usize = 256 * 1024;
/// The most keys that a set may have.
pub const MAX_KEYS: usize = 64;

/// Why a set of keys was refused. One bad key refuses all of it: a set that is half right was not written with care.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is longer than [`MAX_JWKS_BYTES`].
    #[error("longer than {MAX_JWKS_BYTES} bytes")]
    TooLong,
    /// It is not a JSON object that can be read in one way only.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// There is no array `keys` in it.
    #[error("`keys` must be an array of objects")]
    NoKeys,
    /// There is nothing in it.
    #[error("there are no keys in it")]
    Empty,
    /// There are more than [`MAX_KEYS`] keys in it.
    #[error("more than {MAX_KEYS} keys")]
    TooMany,
    /// Two of its keys have the same name.
    #[error("two keys are called `{0}`")]
    DuplicateKid(String),
    /// A key without a name is not alone, so no token could choose it.
    #[error("key {0} has no `kid`, which only a single key may lack")]
    Unnamed(usize),
    /// A key is not acceptable.
    #[error("key {index} (`{kid}`): {cause}")]
    BadKey {
        /// Which it is, counted from zero.
        index: usize,
        /// What it calls itself, if it does.
        kid: String,
        /// What is wrong with it.
        cause: KeyError,
    },
}

/// Keys under their names. It does not change; a new set takes its place. The default set is empty and verifies nothing.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: HashMap<String, PublicKey>,
    /// Tells it from every other set of this process, but not from its copies.
    edition: u64,
}

/// A JWK Set as it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwks {
    /// Ordered by name.
    pub keys: Vec<PublicJwk>,
}

impl KeySet {
    /// A set of keys that were checked one by one before.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Result<Self, KeySetError> {
        static EDITIONS: AtomicU64 = AtomicU64::new(1);
        let mut set = Self { keys: HashMap::new(), edition: EDITIONS.fetch_add(1, Ordering::Relaxed) };
        for key in keys {
            if set.keys.len() == MAX_KEYS {
                return Err(KeySetError::TooMany);
            }
            if let Some(former) = set.keys.insert(key.kid().to_owned(), key) {
                return Err(KeySetError::DuplicateKid(former.kid().to_owned()));
            }
        }
        if set.keys.is_empty() { Err(KeySetError::Empty) } else { Ok(set) }
    }

    /// A number that no other set of this process has, but its copies.
    pub(crate) const fn edition(&self) -> u64 {
        self.edition
    }

    /// Reads a JWK Set (RFC 7517 §5). Unlike what that section suggests, keys of a foreign kind are refused and not
    /// skipped: the sets read here are made for this service.
    pub fn from_jwks(text: &str) -> Result<Self, KeySetError> {
        if text.len() > MAX_JWKS_BYTES {
            return Err(KeySetError::TooLong);
        }
        let members = json::parse_object(text.as_bytes())?;
        let keys = members.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut checked = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let jwk = key.as_object().ok_or(KeySetError::NoKeys)?;
            let bad = |cause| {
                let kid = jwk.get("kid").and_then(Value::as_str).unwrap_or_default();
                KeySetError::BadKey { index, kid: kid.chars().take(super::MAX_KID_BYTES).collect(), cause }
            };
            checked.push(PublicKey::from_members(jwk).map_err(bad)?);
            if keys.len() > 1 && !jwk.contains_key("kid") {
                return Err(KeySetError::Unnamed(index));
            }
        }
        Self::new(checked)
    }

    /// The key of that name. The name means nothing else: no path, no query, no address is made of it.
    #[must_use]
    pub fn by_kid(&self, kid: &str) -> Option<&PublicKey> {
        self.keys.get(kid)
    }

    /// The key for tokens that name none: there is one only if no other could be meant.
    #[must_use]
    pub fn only(&self) -> Option<&PublicKey> {
        let mut keys = self.keys.values();
        keys.next().filter(|_| keys.next().is_none())
    }

    /// All keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values()
    }

    /// The set as it is published, ordered by name, so that equal sets are equal texts.
    #[must_use]
    pub fn to_jwks(&self) -> PublicJwks {
        let mut keys: Vec<&PublicKey> = self.keys.values().collect();
        keys.sort_unstable_by_key(|key| key.kid());
        PublicJwks { keys: keys.into_iter().map(PublicKey::to_jwk).collect() }
    }
}
