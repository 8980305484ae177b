//! What somebody is told who may not pass: a status of HTTP, a challenge where one belongs, and the reason as JSON.

use std::fmt::Write;

use serde_json::json;

/// When to try again what could not be judged.
const SOON: u32 = 1;

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// A name for programs: those of RFC 6750 §3.1 where there are any.
    pub error: &'static str,
    /// The same for people.
    pub description: &'static str,
    /// What belongs in `www-authenticate`.
    pub challenge: Option<Challenge>,
    /// After how many seconds to ask again.
    pub retry_after: Option<u32>,
}

/// A challenge (RFC 6750 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A request without any credential is told nothing but the scheme (§3.1).
    Plain,
    /// What is wrong with the credential.
    Error(&'static str),
    /// The scopes that are needed.
    Scopes(String),
}

impl Refusal {
    const fn new(status: u16, error: &'static str, description: &'static str) -> Self {
        Self { status, error, description, challenge: None, retry_after: None }
    }

    pub(super) fn token_missing() -> Self {
        let refusal = Self::new(401, "token_missing", "this needs an access token");
        Self { challenge: Some(Challenge::Plain), ..refusal }
    }

    /// The token does not count, for whichever reason.
    #[must_use]
    pub fn token_invalid() -> Self {
        let refusal = Self::new(401, "invalid_token", "the access token does not count");
        Self { challenge: Some(Challenge::Error("invalid_token")), ..refusal }
    }

    pub(super) fn scope_missing<'s>(scopes: impl Iterator<Item = &'s str>) -> Self {
        let mut needed = String::new();
        for scope in scopes {
            // A quotation mark or a backslash would end the quoted text of the challenge; no scope has one (RFC 6749 §3.3).
            let gap = if needed.is_empty() { "" } else { " " };
            let _ = write!(needed, "{gap}{}", scope.replace(['"', '\\'], ""));
        }
        let refusal = Self::new(403, "insufficient_scope", "the access token lacks a scope");
        Self { challenge: Some(Challenge::Scopes(needed)), ..refusal }
    }

    pub(super) fn role_missing() -> Self {
        let refusal = Self::new(403, "insufficient_scope", "whoever holds the access token lacks a role");
        Self { challenge: Some(Challenge::Error("insufficient_scope")), ..refusal }
    }

    pub(super) fn visitor() -> Self {
        let refusal = Self::new(403, "insufficient_scope", "this is for people who have signed in");
        Self { challenge: Some(Challenge::Error("insufficient_scope")), ..refusal }
    }

    /// It cannot be known now.
    #[must_use]
    pub fn unknown() -> Self {
        let refusal = Self::new(503, "temporarily_unavailable", "it cannot be known now whether the token counts");
        Self { retry_after: Some(SOON), ..refusal }
    }

    /// Whoever asks takes more than they may, until so many seconds have passed.
    #[must_use]
    pub fn exceeded(seconds: u32) -> Self {
        let refusal = Self::new(429, "temporarily_unavailable", "this caller takes more of the service than it may");
        Self { retry_after: Some(seconds), ..refusal }
    }

    /// Whoever asks is no gateway of ours.
    #[must_use]
    pub const fn gateway_unknown() -> Self {
        Self::new(403, "invalid_client", "the gateway has no API key that is known")
    }

    /// A defect of ours; the log has its cause.
    #[must_use]
    pub const fn internal() -> Self {
        Self::new(500, "server_error", "internal error")
    }

    /// The gateway's configuration asks for what is not understood.
    #[must_use]
    pub const fn needs_unreadable() -> Self {
        Self::new(500, "server_error", "what this route needs is not understood; its configuration wants mending")
    }

    /// The text of `www-authenticate`.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        self.challenge.as_ref().map(|challenge| match challenge {
            Challenge::Plain => "Bearer".to_owned(),
            Challenge::Error(error) => format!("Bearer error=\"{error}\""),
            Challenge::Scopes(scopes) => format!("Bearer error=\"insufficient_scope\", scope=\"{scopes}\""),
        })
    }

    /// The body of the answer, as JSON.
    #[must_use]
    pub fn body(&self) -> String {
        json!({ "error": self.error, "error_description": self.description }).to_string()
    }
}
