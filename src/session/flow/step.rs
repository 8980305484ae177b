//! What passes between a guided sign-in and its client: inputs, steps, and why there is no next one.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::cache::CacheError;
use crate::config::ProfileField;
use crate::credential::{Challenge, CodeError};
use crate::guard::GuardError;
use crate::secret::Secret;
use crate::session::{SignInError, SignedIn};
use crate::store::StoreError;

/// Where a flow stands.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the client sends back with the next input.
    pub flow_id: Secret<String>,
    /// What is needed next.
    pub next: Next,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// What a flow needs next.
#[derive(Clone, Debug)]
pub enum Next {
    /// The code that was sent.
    Code(Challenge),
    /// The account's password.
    Password,
    /// A password for the new account.
    SetPassword,
    /// What the new person is called.
    Profile,
    /// Nothing.
    Done(Box<SignedIn>),
}

/// What a client sends for a step.
#[derive(Clone, Debug)]
pub enum Input {
    /// The code that arrived.
    Code(Secret<String>),
    /// The account's password.
    Password(Secret<String>),
    /// A password for the new account.
    NewPassword(Secret<String>),
    /// What the new person is called.
    Profile(Profile),
    /// That a code is to be sent in place of a password.
    UseCode,
}

/// What a new person says of themself.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// The language of messages, or empty.
    pub locale: String,
    /// What services keep with the account.
    pub metadata: Map<String, Value>,
}

/// Why a flow did not go on.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// There is none of this name, or not for this client, or not any more.
    #[error("there is no such sign-in")]
    NotFound,
    /// It needs something else.
    #[error("the sign-in needs something else")]
    WrongStep {
        /// What.
        needed: Needed,
    },
    /// Something that a new person must say of themself is missing.
    #[error("something is missing")]
    Missing(ProfileField),
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// The proof does not hold, or the person may not come in.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// No code can be sent.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// There are too many sign-ins, or they could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The cache gives no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a flow needs, for whoever sent something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// A code.
    Code,
    /// A password.
    Password,
    /// A new password.
    SetPassword,
    /// A profile.
    Profile,
    /// Nothing more.
    Nothing,
}
