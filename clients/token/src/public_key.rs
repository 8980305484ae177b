//! Public keys that were checked. Owns what counts as an acceptable key, its thumbprint, and verifying with it.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;

use super::Algorithm;
use super::json::JsonError;

/// The longest name a key may have, in bytes.
pub const MAX_KID_BYTES: usize = 64;

/// Why a key was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not a JSON object that can be read in one way only.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// A member that this kind of key has is not there.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member is not a string, or not an array of strings where one is wanted.
    #[error("`{0}` has the wrong type")]
    WrongType(&'static str),
    /// A member is not canonical base64url.
    #[error("`{0}` is not base64url without padding")]
    Encoding(&'static str),
    /// A coordinate is shorter or longer than its curve wants.
    #[error("`{0}` has the wrong length")]
    Length(&'static str),
    /// A type of key or a curve that is not spoken here; symmetric keys are among them.
    #[error("`{0}` names nothing that is supported")]
    Unsupported(&'static str),
    /// The private half was given away with it.
    #[error("`{0}` is part of a private or symmetric key")]
    Private(&'static str),
    /// It is meant for something else than verifying signatures.
    #[error("`{0}` says that the key is not for verifying")]
    Purpose(&'static str),
    /// It names another algorithm than the one that its type is used with.
    #[error("`alg` does not fit the key")]
    Algorithm,
    /// Its name is empty or too long.
    #[error("`kid` must have 1 to 64 bytes")]
    Kid,
    /// It is not a point of the curve, or one of the few for which signatures can be made without a private key.
    #[error("not a usable point of the curve")]
    Point,
    /// The RSA modulus is even, padded, below 2048 or above 8192 bits.
    #[error("the modulus must be odd and have 2048 to 8192 bits")]
    Modulus,
    /// The RSA exponent is even, padded, below 65537 or above 32 bits.
    #[error("the exponent must be odd, at least 65537, and have at most 32 bits")]
    Exponent,
}

/// A public key under its name. One exists only if it was found acceptable.
#[derive(Clone, Debug)]
pub struct PublicKey {
    kid: String,
    material: Material,
    verifier: DecodingKey,
}

/// The numbers a key consists of, as JWK members hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Material {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PublicKey {
    /// A key for ES256, from its affine coordinates.
    pub fn es256(x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        // RFC 7518 §6.2.1.2: the full size of a coordinate, leading zeros included.
        let x: [u8; 32] = x.try_into().map_err(|_| KeyError::Length("x"))?;
        let y: [u8; 32] = y.try_into().map_err(|_| KeyError::Length("y"))?;
        let point = [&[4][..], &x, &y].concat();
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).map_err(|_| KeyError::Point)?;
        Ok(Self::from_material(Material::P256 { x, y }, DecodingKey::from_ec_der(&point)))
    }

    /// A key for EdDSA, from its encoded point on edwards25519.
    pub fn eddsa(x: &[u8]) -> Result<Self, KeyError> {
        let x: [u8; 32] = x.try_into().map_err(|_| KeyError::Length("x"))?;
        if !is_canonical(x) || is_of_small_order(x) {
            return Err(KeyError::Point);
        }
        // A `y` that belongs to no point is not found out here, because aws-lc looks for the point when it verifies. Such
        // a key verifies nothing.
        Ok(Self::from_material(Material::Ed25519 { x }, DecodingKey::from_ed_der(&x)))
    }

    /// A key for RS256, from its modulus and exponent, big-endian without leading zeros.
    pub fn rs256(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let bits = n.first().map_or(0, |first| n.len() * 8 - first.leading_zeros() as usize);
        let odd = n.last().is_some_and(|last| last % 2 == 1);
        if n.first() == Some(&0) || !odd || !(2048..=8192).contains(&bits) {
            return Err(KeyError::Modulus);
        }
        if e.first() == Some(&0) || e.len() > 4 {
            return Err(KeyError::Exponent);
        }
        let exponent = e.iter().fold(0_u64, |number, &octet| number << 8 | u64::from(octet));
        if exponent < 65_537 || exponent % 2 == 0 {
            return Err(KeyError::Exponent);
        }
        // Only parsing a whole DER document makes aws-lc check the pair; the components alone are taken as they come.
        let der = RsaPublicKeyComponents { n, e }.as_der().map_err(|_| KeyError::Modulus)?;
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref()).map_err(|_| KeyError::Modulus)?;
        let material = Material::Rsa { n: n.to_vec(), e: e.to_vec() };
        Ok(Self::from_material(material, DecodingKey::from_rsa_raw_components(n, e)))
    }

    fn from_material(material: Material, verifier: DecodingKey) -> Self {
        Self { kid: material.thumbprint(), material, verifier }
    }

    /// The same key under a name of one's own.
    pub fn named(self, kid: &str) -> Result<Self, KeyError> {
        if kid.is_empty() || kid.len() > MAX_KID_BYTES {
            return Err(KeyError::Kid);
        }
        Ok(Self { kid: kid.to_owned(), ..self })
    }

    /// What it is called: a name that was given, or else its thumbprint.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it verifies. A token has no say in it (RFC 8725 §3.1).
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::P256 { .. } => Algorithm::Es256,
            Material::Ed25519 { .. } => Algorithm::EdDsa,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The hash that stands for the key, whatever its name (RFC 7638).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.material.thumbprint()
    }

    pub(super) const fn material(&self) -> &Material {
        &self.material
    }

    /// How many bytes its signatures have.
    const fn signature_len(&self) -> usize {
        match &self.material {
            Material::P256 { .. } | Material::Ed25519 { .. } => 64,
            Material::Rsa { n, .. } => n.len(),
        }
    }

    /// Whether `signature`, in base64url, is this key's over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &str) -> bool {
        // The exact length, before the library sees it: of an ECDSA signature it would otherwise be the only judge.
        if base64::encoded_len(self.signature_len(), false) != Some(signature.len()) {
            return false;
        }
        let algorithm = match self.algorithm() {
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        };
        jsonwebtoken::crypto::verify(signature, message, &self.verifier, algorithm).unwrap_or(false)
    }
}

impl Material {
    /// RFC 7638 §3: the required members alone, in lexical order, without white space.
    fn thumbprint(&self) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let canonical = match self {
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
            }
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n)),
        };
        encode(digest(&SHA256, canonical.as_bytes()).as_ref())
    }
}

/// The sign of the x coordinate lies above the 255 bits of y (RFC 8032 §5.1.2).
const fn without_sign(mut x: [u8; 32]) -> [u8; 32] {
    x[31] &= 0x7f;
    x
}

/// Whether y is below the field's prime 2²⁵⁵ − 19 (RFC 8032 §5.1.3, step 1): one point, one spelling.
fn is_canonical(x: [u8; 32]) -> bool {
    let y = without_sign(x);
    y[31] != 0x7f || y[1..31].iter().any(|&octet| octet != 0xff) || y[0] < 0xed
}

/// The y coordinates of the eight points whose order divides the cofactor. With such a key, a signature that suits any
/// message at all can be written down without a private key (RFC 8032 §8.2 leaves checking for them to the application).
const SMALL_ORDER: [[u8; 32]; 5] = {
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    let mut one = [0; 32];
    one[0] = 1;
    [
        [0; 32],
        one,
        minus_one,
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

fn is_of_small_order(x: [u8; 32]) -> bool {
    SMALL_ORDER.contains(&without_sign(x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprints_are_those_of_the_rfcs() {
        let n = URL_SAFE_NO_PAD
            .decode(concat!(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj",
                "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ",
                "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK",
                "nqDKgw"
            ))
            .unwrap();
        let rsa = PublicKey::rs256(&n, &[1, 0, 1]).unwrap();
        assert_eq!(rsa.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "RFC 7638 §3.1");
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let ed = PublicKey::eddsa(&x).unwrap();
        assert_eq!(ed.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", "RFC 8037 A.3");
        assert_eq!(ed.named("mine").unwrap().kid(), "mine");
    }

    #[test]
    fn an_ed25519_key_of_small_order_would_sign_anything() {
        // R is the neutral element and S is zero: the equation S·B = R + h·A holds for a neutral A, whatever h is.
        let mut forged = [0; 64];
        forged[0] = 1;
        let forged = URL_SAFE_NO_PAD.encode(forged);
        let neutral = DecodingKey::from_ed_der(&SMALL_ORDER[1]);
        let accepted = jsonwebtoken::crypto::verify(&forged, b"anything", &neutral, jsonwebtoken::Algorithm::EdDSA);
        assert_eq!(accepted.ok(), Some(true), "the library takes it, so this file must not");
        for y in SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut x = y;
                x[31] |= sign;
                assert_eq!(PublicKey::eddsa(&x).unwrap_err(), KeyError::Point, "{x:02x?}");
            }
        }
    }

    #[test]
    fn one_point_has_one_spelling() {
        for first in 0xed..=0xff {
            for last in [0x7f, 0xff] {
                let mut x = [0xff; 32];
                (x[0], x[31]) = (first, last);
                assert_eq!(PublicKey::eddsa(&x).unwrap_err(), KeyError::Point, "{x:02x?}");
            }
        }
    }
}
