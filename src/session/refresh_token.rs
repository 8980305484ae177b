//! Refresh tokens. None is ever stored: a token is the session's identifier and generation under a MAC, so that it can be
//! derived again from the session's row, and so that garbage is turned away before any I/O.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::model::SessionId;
use crate::root_key::MacKey;
use crate::secret::Secret;

/// What every refresh token begins with, so that it is recognised where it does not belong.
pub const REFRESH_TOKEN_PREFIX: &str = "csr_";
/// Longer than any refresh token is, or will be.
pub const MAX_REFRESH_TOKEN_BYTES: usize = 512;

const VERSION: u8 = 1;
/// Version, key, session, generation.
const SIGNED: usize = 1 + 4 + 16 + 8;
const WHOLE: usize = SIGNED + 32;

/// A refresh token in its text form.
pub type RefreshToken = Secret<String>;

/// Makes and reads refresh tokens.
#[derive(Clone, Debug)]
pub struct RefreshTokens {
    current: MacKey,
    former: Option<MacKey>,
}

impl RefreshTokens {
    /// Seals with `current`, and reads what `former` has sealed as well.
    #[must_use]
    pub const fn new(current: MacKey, former: Option<MacKey>) -> Self {
        Self { current, former }
    }

    /// The token of one generation of a session.
    #[must_use]
    pub fn seal(&self, session: SessionId, generation: i64) -> RefreshToken {
        let mut bytes = [0; WHOLE];
        bytes[0] = VERSION;
        bytes[1..5].copy_from_slice(&self.current.name());
        bytes[5..21].copy_from_slice(session.0.as_bytes());
        bytes[21..SIGNED].copy_from_slice(&generation.to_be_bytes());
        let mac = self.current.mac(&[&bytes[..SIGNED]]);
        bytes[SIGNED..].copy_from_slice(&mac);
        Secret::new(format!("{REFRESH_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Which session and generation a token is of, if it is one of ours. Asks nobody.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<(SessionId, i64)> {
        if token.len() > MAX_REFRESH_TOKEN_BYTES {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token.strip_prefix(REFRESH_TOKEN_PREFIX)?).ok()?;
        let bytes = <[u8; WHOLE]>::try_from(bytes).ok()?;
        let (signed, mac) = bytes.split_at(SIGNED);
        if signed[0] != VERSION {
            return None;
        }
        let mut keys = std::iter::once(&self.current).chain(&self.former);
        let key = keys.find(|key| key.name() == signed[1..5])?;
        if !bool::from(key.mac(&[signed]).ct_eq(mac)) {
            return None;
        }
        let session = Uuid::from_slice(&signed[5..21]).ok()?;
        let generation = i64::from_be_bytes(signed[21..].try_into().ok()?);
        Some((SessionId(session), generation))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::root_key::{Purpose, RootKey};

    fn key() -> MacKey {
        MacKey::new(&RootKey::generate(), Purpose::SealRefreshTokens)
    }

    #[test]
    fn a_token_opens_to_what_was_sealed_and_is_always_the_same() {
        let tokens = RefreshTokens::new(key(), None);
        let session = SessionId(Uuid::from_u128(7));
        let token = tokens.seal(session, 3);
        assert_eq!(tokens.open(token.expose()), Some((session, 3)));
        assert_eq!(tokens.seal(session, 3), token);
        assert_ne!(tokens.seal(session, 4), token);
    }

    #[test]
    fn a_former_key_reads_and_a_foreign_one_does_not() {
        let former = key();
        let token = RefreshTokens::new(former.clone(), None).seal(SessionId(Uuid::from_u128(7)), 1);
        assert!(RefreshTokens::new(key(), Some(former)).open(token.expose()).is_some());
        assert!(RefreshTokens::new(key(), None).open(token.expose()).is_none());
    }

    #[test]
    fn no_changed_character_gets_through() {
        let tokens = RefreshTokens::new(key(), None);
        let token = tokens.seal(SessionId(Uuid::from_u128(7)), 1).expose().clone();
        for at in 0..token.len() {
            for other in ['A', 'z', '0', '-', '=', ' '] {
                let mut changed: Vec<char> = token.chars().collect();
                if changed[at] != other {
                    changed[at] = other;
                    let changed: String = changed.into_iter().collect();
                    assert_eq!(tokens.open(&changed), None, "{changed}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused(text in "(csr_)?[A-Za-z0-9_=.-]{0,120}") {
            prop_assert_eq!(RefreshTokens::new(key(), None).open(&text), None);
        }
    }
}
