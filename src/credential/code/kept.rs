//! What the cache keeps of a code, and under which keys. All keys of a challenge share a hash tag, so that a cluster keeps
//! them together.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::model::{ChallengeId, EmailAddress, Identifier, Purpose};

/// A challenge as the cache keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
    pub(super) purpose: Purpose,
    pub(super) code_mac: [u8; 32],
    pub(super) expires_at: DateTime<Utc>,
    pub(super) resend_at: DateTime<Utc>,
    /// When the challenge ends however often its code is sent again.
    pub(super) ends_at: DateTime<Utc>,
    /// How many messages have left.
    pub(super) messages: u64,
    /// Who asked for the last of them.
    pub(super) asked_from: IpAddr,
}

impl Kept {
    pub(super) fn identifier(&self) -> Option<Identifier> {
        match (&self.phone, &self.email) {
            (Some(phone), _) => phone.parse().ok().map(Identifier::Phone),
            (None, Some(email)) => EmailAddress::parse(email).ok().map(Identifier::Email),
            (None, None) => None,
        }
    }
}

/// What an intent was answered with, so that it can be answered the same again.
#[derive(Serialize, Deserialize)]
pub(super) struct Answered {
    pub(super) digest: [u8; 32],
    pub(super) challenge_id: ChallengeId,
    pub(super) at: DateTime<Utc>,
}

pub(super) fn challenge_key(id: ChallengeId) -> String {
    format!("{{otp:{id}}}:challenge")
}

pub(super) fn guesses_key(id: ChallengeId) -> String {
    format!("{{otp:{id}}}:guesses")
}

pub(super) fn used_key(id: ChallengeId) -> String {
    format!("{{otp:{id}}}:used")
}

pub(super) fn carried_out_key(id: ChallengeId) -> String {
    format!("{{otp:{id}}}:carried_out")
}

pub(super) fn repetitions_key(id: ChallengeId) -> String {
    format!("{{otp:{id}}}:repetitions")
}

pub(super) fn message_key(id: ChallengeId, number: u64) -> String {
    format!("{{otp:{id}}}:message:{number}")
}

/// Only plain data is written, which always has a form in JSON.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// What cannot be read, because another release wrote it, counts as absent.
pub(super) fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
