//! The keys that sign access tokens, as they are kept.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The signature algorithms that are spoken. It belongs to the key; a token's header only repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// The name that JOSE gives it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Es256, Self::EdDsa, Self::Rs256]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| format!("unknown algorithm `{text}`; there are: ES256, EdDSA, RS256"))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that verifiers learn it, but signing nothing yet.
    Pending,
    /// Signs.
    Active,
    /// Signs no more, and verifies until the last token it signed has expired.
    Retired,
}

impl KeyState {
    /// The name the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

impl FromStr for KeyState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Pending, Self::Active, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("unknown key state `{text}`"))
    }
}

/// A signing key as the database keeps it: the private half is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// Its public name.
    pub kid: String,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where it stands in its life.
    pub state: KeyState,
    /// The private half (PKCS#8), encrypted.
    pub sealed_private: Vec<u8>,
    /// The public half as a JWK in JSON.
    pub public_jwk: String,
    /// Since when it is published.
    pub created_at: DateTime<Utc>,
    /// When it began to sign.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it stopped signing.
    pub retired_at: Option<DateTime<Utc>>,
    /// The longest life, in seconds, of any token it may have signed.
    pub longest_token_seconds: i64,
}
