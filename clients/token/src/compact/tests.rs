//! Attacks on the compact form. Owns the honest issuer that they are made against.

mod form;
mod header;
mod signature;

use super::*;
use crate::SigningPair;

const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

/// A key, the set it is in, and a token that it signed.
struct Issuer {
    pair: SigningPair,
    keys: KeySet,
    token: String,
}

impl Issuer {
    fn new(algorithm: Algorithm) -> Self {
        let pair = SigningPair::generate(algorithm).unwrap();
        let keys = KeySet::new([pair.public().clone()]).unwrap();
        let token = pair.sign("at+jwt", br#"{"sub":"somebody"}"#).unwrap();
        assert!(verify_compact(&token, &keys).is_ok());
        Self { pair, keys, token }
    }

    fn kid(&self) -> &str {
        self.pair.public().kid()
    }

    fn parts(&self) -> [&str; 3] {
        let parts: Vec<_> = self.token.split('.').collect();
        parts.try_into().unwrap()
    }

    /// The honest key signs a header of the attacker's wish: only the checks on the header can refuse it.
    fn signed(&self, header: &str) -> Result<Verified, Rejection> {
        verify_compact(&self.pair.sign_with_header(header.as_bytes(), b"{}").unwrap(), &self.keys)
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public half in the form that PEM files hold.
fn spki(pair: &SigningPair) -> Vec<u8> {
    use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
    use aws_lc_rs::signature as lc;
    let der = pair.pkcs8();
    let spki: PublicKeyX509Der<'_> = match pair.public().algorithm() {
        Algorithm::Es256 => {
            let pair = lc::EcdsaKeyPair::from_pkcs8(&lc::ECDSA_P256_SHA256_FIXED_SIGNING, der).unwrap();
            lc::KeyPair::public_key(&pair).as_der().unwrap()
        }
        Algorithm::EdDsa => {
            let pair = lc::Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).unwrap();
            lc::KeyPair::public_key(&pair).as_der().unwrap()
        }
        Algorithm::Rs256 => lc::KeyPair::public_key(&lc::RsaKeyPair::from_pkcs8(der).unwrap()).as_der().unwrap(),
    };
    spki.as_ref().to_vec()
}
