//! The keys that sign access tokens, as they are kept.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use countersign_token::Algorithm;

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
