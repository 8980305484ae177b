//! Access tokens and the keys they are signed with: issued, judged, taken back.
//!
//! How a token is read and verified, and what covers it once it is taken back, stands in the package `countersign-token`, which
//! the clients of this service share. Here is what only the service does: keys with their private halves (`keyring`), tokens
//! issued and judged with all that a node knows (`access`), and the way of changes from the database and from node to node
//! (`revocations`) and to those who watch (`watch`).
//!
//! Every failure is a [`Rejection`], which is for logs: a caller learns only that the token is not active.

mod access;
mod keyring;
mod revocations;
mod watch;

pub use access::{AccessError, AccessTokens, Answer, Demands, Encoded, Inactive, Issued, Judgement, Known, Moment};
pub use countersign_token::{
    ACCESS_TOKEN_TYPE, AccessClaims, Expected, KeySet, MAX_COMPACT_BYTES, PublicJwk, PublicKey, Rejection, Remembered,
    Replica, SigningError, SigningPair, verify_compact,
};
pub use keyring::{Haste, Keyring, KeyringError, Keys};
pub use revocations::{Change, Revocations, TOPIC};
pub use watch::{Cursor, Event, InvalidCursor, Watch, WatchError};
