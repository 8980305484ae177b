//! Countersign's access tokens: read strictly, verified, and held against what has been taken back.
//!
//! This is the part that the service and whoever verifies its tokens have in common. It does no I/O, knows no clock but the
//! time that it is given, and never waits.
//!
//! A token goes through three doors, each in a file of its own:
//!
//! 1. `compact`: is it, to the letter, a JWS in compact form that a known key has signed? The key decides on the algorithm;
//!    the header only chooses the key by name. The text of JSON is read by `json`, which accepts nothing ambiguous.
//! 2. `claims`: is it an access token, and does each claim have the right type?
//! 3. [`AccessClaims::check`]: is it for us, and for now?
//!
//! Every failure is a [`Rejection`], which is for logs: whoever sent the token learns only that it is not active. What has
//! been taken back is kept in a [`Replica`], and tokens whose signature was found good in [`Remembered`].
//!
//! A [`PublicKey`] exists only if it was found acceptable, whether it came from a JWK (`jwk`), a set of them (`keyset`) or a
//! [`SigningPair`] (`signing`).
//!
//! Only ES256, `EdDSA` and RS256 are spoken: no `none`, no HMAC, no encryption.

mod algorithm;
mod claims;
mod compact;
mod id;
mod json;
mod jwk;
mod keyset;
mod public_key;
mod rejection;
mod remembered;
mod replica;
mod revocation;
mod signing;
#[cfg(test)]
mod vectors;

pub use algorithm::Algorithm;
pub use claims::{
    ACCESS_TOKEN_TYPE, AccessClaims, Expected, MAX_LEEWAY_SECONDS, RESERVED_CLAIMS, USERNAME, read_access_token,
};
pub use compact::{MAX_COMPACT_BYTES, Verified, verify_compact};
pub use id::{AccountId, InvalidId, SessionId, TokenId};
pub use json::{JsonError, MAX_DEPTH, parse_object};
pub use jwk::PublicJwk;
pub use keyset::{KeySet, KeySetError, MAX_JWKS_BYTES, MAX_KEYS, PublicJwks};
pub use public_key::{KeyError, MAX_KID_BYTES, PublicKey};
pub use rejection::Rejection;
pub use remembered::{Known, Remembered};
pub use replica::Replica;
pub use revocation::{LEEWAY_LIMIT, Revocation, Target};
pub use signing::{SigningError, SigningPair};
#[doc(hidden)]
pub use uuid;
