//! The installation's root key, from which every other symmetric key comes. One secret to keep, one to replace.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::random::Random;
use crate::secret::Secret;

/// What a derived key is for. Keys for different purposes tell nothing of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Encrypts signing keys at rest.
    SealSigningKeys,
    /// Authenticates refresh tokens.
    SealRefreshTokens,
    /// Hashes codes, and identifiers within cache keys.
    HashCodes,
    /// Digests what clients ask for under a `request_id`.
    DigestIntents,
    /// Names guided sign-ins, and binds them to their clients.
    BindFlows,
    /// Hashes national ids.
    HashNationalIds,
    /// Yields API keys that a repeated request must be answered with again.
    DeriveApiKeys,
    /// Encrypts the secrets of webhooks at rest.
    SealWebhookSecrets,
    /// Yields secrets of webhooks that a repeated request must be answered with again.
    DeriveWebhookSecrets,
    /// Yields the first passwords of users that are created in a Nextcloud.
    DeriveCloudPasswords,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::SealSigningKeys => b"countersign/1/seal-signing-keys",
            Self::SealRefreshTokens => b"countersign/1/seal-refresh-tokens",
            Self::HashCodes => b"countersign/1/hash-codes",
            Self::DigestIntents => b"countersign/1/digest-intents",
            Self::BindFlows => b"countersign/1/bind-flows",
            Self::HashNationalIds => b"countersign/1/hash-national-ids",
            Self::DeriveApiKeys => b"countersign/1/derive-api-keys",
            Self::SealWebhookSecrets => b"countersign/1/seal-webhook-secrets",
            Self::DeriveWebhookSecrets => b"countersign/1/derive-webhook-secrets",
            Self::DeriveCloudPasswords => b"countersign/1/derive-cloud-passwords",
        }
    }
}

/// 32 random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey(Secret<[u8; 32]>);

/// A text that is not a root key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 32 bytes in base64, as `openssl rand -base64 32` prints them")]
pub struct InvalidRootKey;

impl RootKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::new(Random.bytes()))
    }

    /// Reads one from base64.
    pub fn parse(text: &str) -> Result<Self, InvalidRootKey> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| InvalidRootKey)?;
        let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| InvalidRootKey)?;
        if bytes.iter().all(|byte| *byte == bytes[0]) {
            return Err(InvalidRootKey);
        }
        Ok(Self(Secret::new(bytes)))
    }

    /// As base64.
    #[must_use]
    pub fn to_base64(&self) -> Secret<String> {
        Secret::new(STANDARD.encode(self.0.expose()))
    }

    /// The key for one purpose: the first block of HKDF-Expand. The root key is random as it is, so that nothing need be
    /// extracted first (RFC 5869 §3.3).
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.0.expose()));
        context.update(purpose.label());
        context.update(&[1]);
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        Secret::new(key)
    }
}

/// A key for HMAC-SHA-256, with a short name by which what it made is recognised.
#[derive(Clone)]
pub struct MacKey {
    key: hmac::Key,
    name: [u8; 4],
}

impl MacKey {
    /// The key for one purpose.
    #[must_use]
    pub fn new(root: &RootKey, purpose: Purpose) -> Self {
        let key = root.derive(purpose);
        let hash = digest::digest(&digest::SHA256, key.expose());
        let mut name = [0; 4];
        name.copy_from_slice(&hash.as_ref()[..4]);
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key.expose()), name }
    }

    /// A public name for the key; it tells nothing of it.
    #[must_use]
    pub const fn name(&self) -> [u8; 4] {
        self.name
    }

    /// The MAC of several parts, each with its length, so that no two lists of parts have the same one.
    #[must_use]
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

impl std::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_for_two_purposes_differ_and_survive_base64() {
        let root = RootKey::generate();
        let again = RootKey::parse(root.to_base64().expose()).unwrap();
        assert_eq!(root.derive(Purpose::HashCodes), again.derive(Purpose::HashCodes));
        assert_ne!(root.derive(Purpose::HashCodes), root.derive(Purpose::DigestIntents));
    }

    #[test]
    fn weak_or_malformed_root_keys_are_refused() {
        for text in ["", "x", "c2hvcnQ=", &STANDARD.encode([0; 32]), &STANDARD.encode([7; 33])] {
            assert_eq!(RootKey::parse(text), Err(InvalidRootKey), "{text}");
        }
    }

    #[test]
    fn parts_cannot_be_shifted() {
        let key = MacKey::new(&RootKey::generate(), Purpose::HashCodes);
        assert_ne!(key.mac(&[b"ab", b"c"]), key.mac(&[b"a", b"bc"]));
    }
}
