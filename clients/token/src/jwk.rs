//! Public keys as JWK, read and written. Owns the members of RFC 7517 and RFC 7518 §6; whether the numbers in them are a
//! good key is for `public_key` to say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use super::json;
use super::public_key::{KeyError, Material, PublicKey};

/// Members that only private and symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key as it is published. The order is the one that people look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    /// Key type.
    pub kty: &'static str,
    /// Curve, for EC and OKP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<&'static str>,
    /// Coordinate, for EC and OKP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Coordinate, for EC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Modulus, for RSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// Exponent, for RSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// What the key is for: signatures.
    #[serde(rename = "use")]
    pub purpose: &'static str,
    /// What it signs with.
    pub alg: &'static str,
    /// Its name.
    pub kid: String,
}

impl From<&PublicKey> for PublicJwk {
    fn from(key: &PublicKey) -> Self {
        let encode = |bytes: &[u8]| Some(URL_SAFE_NO_PAD.encode(bytes));
        let (kty, crv, x, y, n, e) = match key.material() {
            Material::P256 { x, y } => ("EC", Some("P-256"), encode(x), encode(y), None, None),
            Material::Ed25519 { x } => ("OKP", Some("Ed25519"), encode(x), None, None, None),
            Material::Rsa { n, e } => ("RSA", None, None, None, encode(n), encode(e)),
        };
        Self { kty, crv, x, y, n, e, purpose: "sig", alg: key.algorithm().as_str(), kid: key.kid().to_owned() }
    }
}

impl PublicKey {
    /// Reads a JWK and refuses everything but a public key for verifying with an algorithm that is spoken here.
    pub fn from_jwk(text: &str) -> Result<Self, KeyError> {
        Self::from_members(&json::parse_object(text.as_bytes())?)
    }

    /// The same, of an object that was read strictly before.
    pub(super) fn from_members(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        // The type comes first, so that a symmetric key is called that and not private.
        let kty = string(jwk, "kty")?.ok_or(KeyError::Missing("kty"))?;
        if !matches!(kty, "EC" | "OKP" | "RSA") {
            return Err(KeyError::Unsupported("kty"));
        }
        // Whoever publishes a private half has lost the key: it must not verify anything any more.
        if let Some(name) = PRIVATE_MEMBERS.into_iter().find(|&name| jwk.contains_key(name)) {
            return Err(KeyError::Private(name));
        }
        check_purpose(jwk)?;
        let key = match kty {
            "EC" => {
                curve(jwk, "P-256")?;
                Self::es256(&octets(jwk, "x")?, &octets(jwk, "y")?)?
            }
            "OKP" => {
                curve(jwk, "Ed25519")?;
                Self::eddsa(&octets(jwk, "x")?)?
            }
            _ => Self::rs256(&octets(jwk, "n")?, &octets(jwk, "e")?)?,
        };
        if string(jwk, "alg")?.is_some_and(|alg| alg != key.algorithm().as_str()) {
            return Err(KeyError::Algorithm);
        }
        match string(jwk, "kid")? {
            Some(kid) => key.named(kid),
            None => Ok(key),
        }
    }

    /// The key as it is published, in JSON.
    #[must_use]
    pub fn to_jwk(&self) -> PublicJwk {
        self.into()
    }
}

/// RFC 7517 §4.2 and §4.3: what the key is for must be, if it is said, verifying.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), KeyError> {
    if string(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::Purpose("use"));
    }
    let Some(operations) = jwk.get("key_ops") else { return Ok(()) };
    let operations = operations
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
        .ok_or(KeyError::WrongType("key_ops"))?;
    // The two that belong together; anything else beside them is a key used for two things (§4.3 warns of it).
    match *operations {
        ["verify"] | ["sign", "verify"] | ["verify", "sign"] => Ok(()),
        _ => Err(KeyError::Purpose("key_ops")),
    }
}

fn curve(jwk: &Map<String, Value>, wanted: &str) -> Result<(), KeyError> {
    match string(jwk, "crv")?.ok_or(KeyError::Missing("crv"))? {
        crv if crv == wanted => Ok(()),
        _ => Err(KeyError::Unsupported("crv")),
    }
}

fn string<'j>(jwk: &'j Map<String, Value>, name: &'static str) -> Result<Option<&'j str>, KeyError> {
    jwk.get(name).map(|value| value.as_str().ok_or(KeyError::WrongType(name))).transpose()
}

fn octets(jwk: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, KeyError> {
    let text = string(jwk, name)?.ok_or(KeyError::Missing(name))?;
    // This engine refuses padding, foreign letters and non-zero trailing bits.
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Encoding(name))
}

#[cfg(test)]
mod tests;
