//! For services and apps that work with Countersign.
//!
//! A **service** that gets requests with access tokens makes up a [`Connection`] and a [`Verifier`] on it. The verifier
//! follows the public keys and the revocations, and judges each token from memory: with no call, and knowing of a
//! revocation within seconds. [`Require`] says what a token must be good for, and the [`Identity`] who
//! sent it.
//!
//! All that can fail is denied: a token that cannot be judged is not accepted. Time comes from a [`Clock`], so that tests
//! can move it.
#![warn(missing_docs)]

mod backoff;
mod clock;
mod connection;
mod identity;
pub mod proto;
mod random;
mod refusal;
mod require;
mod status;
mod verifier;

pub use countersign_token::{AccountId, Rejection, SessionId, TokenId};

pub use self::clock::Clock;
pub use self::connection::{Caller, ConnectError, Connection, ConnectionBuilder, Service};
pub use self::identity::Identity;
pub use self::refusal::{Refusal, Remedy, Unsure};
pub use self::require::Require;
pub use self::status::{reason, retry_after};
pub use self::verifier::{Verifier, VerifierBuilder, WhenStale};
