//! For services and apps that work with Countersign.
//!
//! A **service** that gets requests with access tokens makes up a [`Connection`] and a [`Verifier`] on it. The verifier
//! follows the public keys and the revocations, and judges each token from memory: with no call, and knowing of a
//! revocation within seconds. [`Verifier::protect`] is a layer for tonic and axum, [`Verifier::interceptor`] an interceptor
//! for tonic, and both say with [`Require`] what a token must be good for. The service behind finds the [`Identity`] in the
//! request's extensions.
//!
//! An **app** that is signed in keeps its tokens in a [`Session`]. It refreshes them ahead of time, once however many ask,
//! and in such a way that no lost answer and no crash signs anybody out.
//!
//! All that can fail is denied: a token that cannot be judged is not accepted. Time comes from a [`Clock`], so that tests
//! can move it.
#![warn(missing_docs)]

mod backoff;
mod clock;
mod connection;
mod identity;
mod protect;
pub mod proto;
mod random;
mod refusal;
mod require;
mod session;
mod status;
mod verifier;

pub use countersign_token::{AccountId, Rejection, SessionId, TokenId};

pub use self::clock::Clock;
pub use self::connection::{Caller, ConnectError, Connection, ConnectionBuilder, Service};
pub use self::identity::Identity;
pub use self::protect::{ProtectLayer, Protected, TokenInterceptor};
pub use self::refusal::{Refusal, Remedy, Unsure};
pub use self::require::Require;
pub use self::session::{
    AccessToken, Attach, AttachLayer, FileStore, MemoryStore, Resumed, Session, SessionBuilder, SessionEnded,
    SessionError, Stored, TokenStore,
};
pub use self::status::{reason, retry_after};
pub use self::verifier::{Verifier, VerifierBuilder, WhenStale};
