//! Signed tokens in compact form. Owns everything from the text to a payload that a known key has signed; what the payload
//! says is for `claims`. It is apart, so that foreign test vectors can be run through it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::Algorithm;
use super::json;
use super::keyset::KeySet;
use super::public_key::{MAX_KID_BYTES, PublicKey};
use super::rejection::Rejection;

/// The longest token that is looked at, in bytes.
pub const MAX_COMPACT_BYTES: usize = 8 * 1024;

/// What a key has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The bytes that were signed. RFC 7515 has no rule for them; there may be none.
    pub payload: Vec<u8>,
    /// Which key it was, by its own name, whether or not the token said so.
    pub kid: String,
    /// What the token says it is (RFC 7515 §4.1.9).
    pub typ: Option<String>,
    /// What the key signs with.
    pub algorithm: Algorithm,
}

/// Verifies a JWS in compact form (RFC 7515 §5.2) with one of `keys`.
///
/// The header chooses among the keys by name, and that is all it does: the algorithm is the key's, and keys or addresses of
/// keys in the header (`jwk`, `jku`, `x5c`, `x5u`) are never looked at (RFC 8725 §3.1 and §3.10).
pub fn verify_compact(jws: &str, keys: &KeySet) -> Result<Verified, Rejection> {
    if jws.len() > MAX_COMPACT_BYTES {
        return Err(Rejection::TooLong);
    }
    let (signed, signature) = jws.rsplit_once('.').ok_or(Rejection::NotCompact)?;
    let (header, payload) = signed.split_once('.').ok_or(Rejection::NotCompact)?;
    // An empty payload is a payload, but without a header or a signature there is nothing to verify. A fourth part fails
    // as base64url, in which there is no dot.
    if header.is_empty() || signature.is_empty() {
        return Err(Rejection::NotCompact);
    }
    let header = decode(header)?;
    let payload = decode(payload)?;
    let mut header = json::parse_object(&header).map_err(Rejection::HeaderMalformed)?;
    let key = choose_key(&header, keys)?;
    let typ = match header.remove("typ") {
        None => None,
        Some(Value::String(typ)) => Some(typ),
        Some(_) => return Err(Rejection::HeaderInvalid("typ")),
    };
    if !key.verify(signed.as_bytes(), signature) {
        return Err(Rejection::BadSignature);
    }
    Ok(Verified { payload, kid: key.kid().to_owned(), typ, algorithm: key.algorithm() })
}

/// Finds the key that the header means, and holds the header to it.
fn choose_key<'k>(header: &Map<String, Value>, keys: &'k KeySet) -> Result<&'k PublicKey, Rejection> {
    // No extension is understood, so whatever is critical must be refused (RFC 7515 §4.1.11). `b64` is refused even where
    // it is not said to be critical: it would change what was signed (RFC 7797 §6).
    if let Some(name) = ["crit", "b64"].into_iter().find(|&name| header.contains_key(name)) {
        return Err(Rejection::HeaderNotUnderstood(name));
    }
    let alg = header.get("alg").and_then(Value::as_str).ok_or(Rejection::HeaderInvalid("alg"))?;
    let key = match header.get("kid") {
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => keys.by_kid(kid),
        Some(_) => return Err(Rejection::HeaderInvalid("kid")),
        None => keys.only(),
    };
    let key = key.ok_or(Rejection::UnknownKey)?;
    // The names are case-sensitive (RFC 7515 §4.1.1).
    if alg == key.algorithm().as_str() { Ok(key) } else { Err(Rejection::AlgorithmMismatch) }
}

/// This engine refuses padding, white space, foreign letters and non-zero trailing bits, so a text has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Rejection> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejection::NotCompact)
}

#[cfg(test)]
mod tests;
