//! Tokens whose signature has been found good. Owns that no token is verified twice while it is remembered, and that a key
//! that is gone verifies nothing.

use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use quick_cache::Equivalent;
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
    /// The last set of keys in which its key was found, so that it is not looked for again in the same.
    found_in: AtomicU64,
}

impl<N> Known<N> {
    fn new(claims: AccessClaims, kid: String, keys: &KeySet) -> Self {
        let exact = claims.jti.0.get_timestamp().and_then(|timestamp| {
            let (seconds, nanos) = timestamp.to_unix();
            DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
        });
        let issued_at = exact.or_else(|| DateTime::from_timestamp(claims.iat, 0)).unwrap_or(DateTime::UNIX_EPOCH);
        Self { claims, kid, issued_at, note: OnceLock::new(), found_in: AtomicU64::new(keys.edition()) }
    }

    /// Whether its key is still one of these. A key that is gone verifies nothing, whatever it verified before.
    fn is_verified_by(&self, keys: &KeySet) -> bool {
        if self.found_in.load(Ordering::Relaxed) == keys.edition() {
            return true;
        }
        let found = keys.by_kid(&self.kid).is_some();
        if found {
            self.found_in.store(keys.edition(), Ordering::Relaxed);
        }
        found
    }
}

/// Tokens by their whole text: found by a quick hash and then compared to the letter, so that no other text can pass for one
/// of them. Never a verdict: that is made anew each time.
#[derive(Debug)]
pub struct Remembered<N> {
    tokens: Cache<Text, Arc<Known<N>>>,
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
        if let Some(known) = self.tokens.get(&Sought(token.as_bytes())) {
            return if known.is_verified_by(keys) { Ok(known) } else { Err(Rejection::UnknownKey) };
        }
        let (kid, claims) = read_access_token(token, keys)?;
        let known = Arc::new(Known::new(claims, kid, keys));
        self.tokens.insert(Text(token.as_bytes().into()), Arc::clone(&known));
        Ok(known)
    }

    /// The same where it is remembered and its key is still there. Bytes that are no text are not remembered, so that nobody
    /// needs to find out before.
    #[must_use]
    pub fn recall(&self, token: &[u8], keys: &KeySet) -> Option<Arc<Known<N>>> {
        self.tokens.get(&Sought(token)).filter(|known| known.is_verified_by(keys))
    }
}

/// A token that is remembered.
#[derive(Debug, PartialEq, Eq)]
struct Text(Box<[u8]>);

/// A token that is looked for.
struct Sought<'t>(&'t [u8]);

impl Hash for Text {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        Sought(&self.0).hash(hasher);
    }
}

impl Hash for Sought<'_> {
    /// A token ends with its signature, and no two have a signature in common: the end tells them apart as well as the whole
    /// does. Only what a key has signed is remembered, so that nobody can make them fall together.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write(self.0.last_chunk::<16>().map_or(self.0, |end| end));
    }
}

impl Equivalent<Text> for Sought<'_> {
    fn equivalent(&self, text: &Text) -> bool {
        *self.0 == *text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ACCESS_TOKEN_TYPE, Algorithm, PublicKey, SigningPair};

    fn keys(pairs: &[&SigningPair]) -> KeySet {
        KeySet::new(pairs.iter().map(|pair| PublicKey::clone(pair.public()))).unwrap()
    }

    fn token(pair: &SigningPair) -> String {
        let claims = concat!(
            r#"{"iss":"us","sub":"01890000-0000-7000-8000-000000000001","aud":"them","exp":2,"iat":1,"nbf":1,"#,
            r#""jti":"01890000-0000-7000-8000-000000000002"}"#
        );
        pair.sign(ACCESS_TOKEN_TYPE, claims.as_bytes()).unwrap()
    }

    #[test]
    fn a_key_that_is_gone_verifies_nothing_and_one_that_is_back_does() {
        let [one, other] = [(); 2].map(|()| SigningPair::generate(Algorithm::EdDsa).unwrap());
        let (with, without) = (keys(&[&one, &other]), keys(&[&other]));
        let (remembered, token) = (Remembered::<()>::new(10), token(&one));
        assert!(remembered.recall(token.as_bytes(), &with).is_none());
        assert_eq!(remembered.read(&token, &without).unwrap_err(), Rejection::UnknownKey);
        remembered.read(&token, &with).unwrap();
        for _ in 0..2 {
            assert!(remembered.recall(token.as_bytes(), &with).is_some());
            assert!(remembered.recall(token.as_bytes(), &with.clone()).is_some());
            assert!(remembered.recall(token.as_bytes(), &without).is_none());
            assert_eq!(remembered.read(&token, &without).unwrap_err(), Rejection::UnknownKey);
            assert!(remembered.recall(token.as_bytes(), &KeySet::default()).is_none());
            assert!(remembered.recall(token.as_bytes(), &keys(&[&one])).is_some());
        }
    }

    #[test]
    fn another_text_with_the_same_end_is_another_token() {
        let pair = SigningPair::generate(Algorithm::EdDsa).unwrap();
        let (keys, remembered, token) = (keys(&[&pair]), Remembered::<()>::new(10), token(&pair));
        remembered.read(&token, &keys).unwrap();
        for at in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[at] ^= 1;
            assert!(remembered.recall(&other, &keys).is_none(), "{at}");
        }
        for part in [&token[1..], &token[token.len() - 16..], &token[..16], ""] {
            assert!(remembered.recall(part.as_bytes(), &keys).is_none(), "{part}");
        }
    }
}
