//! Access tokens and the keys they are signed with: issued, judged, taken back.
//!
//! A token goes through three doors, each in a file of its own:
//!
//! 1. `compact`: is it, to the letter, a JWS in compact form that a known key has signed? The key decides on the algorithm;
//!    the header only chooses the key by name. The text of JSON is read by `json`, which accepts nothing ambiguous.
//! 2. `claims`: is it an access token, and does each claim have the right type?
//! 3. [`AccessClaims::check`]: is it for us, and for now?
//!
//! Every failure is a [`Rejection`], which is for logs: a caller learns only that the token is not active. Whether a token
//! was revoked is known elsewhere.
//!
//! Keys come in two halves. A [`PublicKey`] exists only if it was found acceptable, whether it came from a JWK (`jwk`), a set
//! of them (`keyset`) or a [`SigningPair`] (`signing`), whose private half is encrypted at rest (`seal`).
//!
//! Only ES256, `EdDSA` and RS256 are spoken: no `none`, no HMAC, no encryption.

mod access;
mod claims;
mod compact;
mod json;
mod jwk;
mod keyring;
mod keyset;
mod public_key;
mod rejection;
mod replica;
mod revocations;
pub mod seal;
mod signing;
#[cfg(test)]
mod vectors;

pub use access::{AccessError, AccessTokens, Answer, Demands, Inactive, Issued, Judgement, Known};
pub use claims::{ACCESS_TOKEN_TYPE, AccessClaims, Expected, MAX_LEEWAY_SECONDS, read_access_token};
pub use compact::{MAX_COMPACT_BYTES, Verified, verify_compact};
pub use json::{JsonError, MAX_DEPTH, parse_object};
pub use jwk::PublicJwk;
pub use keyring::{Haste, Keyring, KeyringError, Keys};
pub use keyset::{KeySet, KeySetError, MAX_JWKS_BYTES, MAX_KEYS, PublicJwks};
pub use public_key::{KeyError, MAX_KID_BYTES, PublicKey};
pub use rejection::Rejection;
pub use replica::Replica;
pub use revocations::{Change, Revocations, TOPIC};
pub use signing::{SigningError, SigningPair};
