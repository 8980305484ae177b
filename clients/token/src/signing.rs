//! Key pairs that sign. Owns making them, reading them back, and the compact form of what they sign.

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::Algorithm;
use super::public_key::{KeyError, PublicKey};

/// Why a key pair could not be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// It is not a private key of that algorithm in PKCS#8.
    #[error("not a private key for {0} in PKCS#8")]
    NotAKey(Algorithm),
    /// It is one, but its public half is not acceptable.
    #[error("the key is not acceptable: {0}")]
    Unacceptable(#[from] KeyError),
    /// The cryptographic library failed.
    #[error("the cryptographic library failed")]
    Failed,
}

impl From<Unspecified> for SigningError {
    fn from(_: Unspecified) -> Self {
        Self::Failed
    }
}

/// A private key, ready to sign, and its public half.
pub struct SigningPair {
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
    signer: Signer,
}

/// Without the private half.
impl fmt::Debug for SigningPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningPair").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The parsed private key.
///
/// Verifying goes through jsonwebtoken, signing does not: it parses and checks the private key anew for each signature, which
/// was measured to make ES256 1.6, EdDSA 1.8 and RS256 2.8 times as dear. Its signers that keep a key are not `Send`.
enum Signer {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
    Rs256(RsaKeyPair),
}

impl SigningPair {
    /// Makes a new pair, named by its thumbprint. RSA keys get 2048 bits.
    ///
    /// The library draws the key from its own generator; it takes no other.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningError> {
        let pkcs8 = match algorithm {
            Algorithm::Es256 => {
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
                document.as_ref().to_vec()
            }
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new())?.as_ref().to_vec(),
            Algorithm::Rs256 => {
                let document: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
                document.as_ref().to_vec()
            }
        };
        Self::from_pkcs8(algorithm, &Zeroizing::new(pkcs8))
    }

    /// Reads a pair back from its private half, named by its thumbprint.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, SigningError> {
        let not_a_key = |_: KeyRejected| SigningError::NotAKey(algorithm);
        let der = pkcs8;
        let (signer, public) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(not_a_key)?;
                // An uncompressed point: the octet 4, then both coordinates (SEC 1 §2.3.3).
                let coordinates = pair.public_key().as_ref().get(1..65).ok_or(SigningError::Failed)?;
                let (x, y) = coordinates.split_at(32);
                let public = PublicKey::es256(x, y)?;
                (Signer::Es256(pair), public)
            }
            Algorithm::EdDsa => {
                // The public half need not be in the file (RFC 5958 §2); where it is, it must be the right one.
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(not_a_key)?;
                let public = PublicKey::eddsa(pair.public_key().as_ref())?;
                (Signer::EdDsa(pair), public)
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(not_a_key)?;
                let components = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                let public = PublicKey::rs256(&components.n, &components.e)?;
                (Signer::Rs256(pair), public)
            }
        };
        Ok(Self { public, pkcs8: Zeroizing::new(pkcs8.to_vec()), signer })
    }

    /// The same pair under a name of one's own.
    pub fn named(self, kid: &str) -> Result<Self, SigningError> {
        Ok(Self { public: self.public.named(kid)?, ..self })
    }

    /// What verifies its signatures.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The private half, to be sealed and kept.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Signs `payload` as a token of the kind `typ`, in compact form (RFC 7515 §7.1).
    pub fn sign(&self, typ: &str, payload: &[u8]) -> Result<String, SigningError> {
        // Naming the kind keeps one kind of token from being used as another (RFC 8725 §3.11).
        let header =
            json!({ "alg": self.public.algorithm().as_str(), "kid": self.public.kid(), "typ": typ }).to_string();
        self.sign_with_header(header.as_bytes(), payload)
    }

    /// Signs below a header that is taken as it is; tests write bad ones.
    pub(super) fn sign_with_header(&self, header: &[u8], payload: &[u8]) -> Result<String, SigningError> {
        let mut token = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 100);
        URL_SAFE_NO_PAD.encode_string(header, &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let random = SystemRandom::new();
        Ok(match &self.signer {
            Signer::Es256(pair) => pair.sign(&random, message)?.as_ref().to_vec(),
            Signer::EdDsa(pair) => pair.try_sign(message)?.as_ref().to_vec(),
            Signer::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                signature
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::compact::verify_compact;
    use super::super::keyset::KeySet;
    use super::*;

    #[test]
    fn what_is_signed_verifies_also_after_reading_the_key_back() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            let pair = SigningPair::generate(algorithm).unwrap();
            assert_eq!(pair.public().kid(), pair.public().thumbprint());
            let pair = SigningPair::from_pkcs8(algorithm, pair.pkcs8()).unwrap().named("one").unwrap();
            let keys = KeySet::new([pair.public().clone()]).unwrap();
            for payload in [&b"{}"[..], b"", b"\xff\x00"] {
                let verified = verify_compact(&pair.sign("at+jwt", payload).unwrap(), &keys).unwrap();
                assert_eq!(verified.payload, payload);
                assert_eq!(verified.kid, "one");
                assert_eq!(verified.typ.as_deref(), Some("at+jwt"));
                assert_eq!(verified.algorithm, algorithm);
            }
        }
    }

    #[test]
    fn a_key_is_read_only_as_what_it_is() {
        let all = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
        for made in all {
            let pair = SigningPair::generate(made).unwrap();
            for read in all.into_iter().filter(|&read| read != made) {
                let error = SigningPair::from_pkcs8(read, pair.pkcs8()).unwrap_err();
                assert_eq!(error, SigningError::NotAKey(read));
            }
            let mut cut_off = pair.pkcs8().to_vec();
            cut_off.pop();
            assert!(SigningPair::from_pkcs8(made, &cut_off).is_err());
            assert!(!format!("{pair:?}").contains(&format!("{:?}", pair.pkcs8())));
        }
    }
}
