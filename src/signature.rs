//! The signature under what is sent to an HTTP endpoint of the operator's own, by which the endpoint knows the sender.

use std::fmt::{self, Write};

use aws_lc_rs::hmac;

use crate::secret::Secret;

/// Signs bodies with a secret that both sides know.
#[derive(Clone)]
pub struct Signer(hmac::Key);

impl Signer {
    /// The name of the header that carries the signature.
    pub const HEADER: &'static str = "x-countersign-signature";

    /// One for this secret; none if it is empty, which means that bodies are not signed.
    #[must_use]
    pub fn new(secret: &Secret<String>) -> Option<Self> {
        let secret = secret.expose();
        (!secret.is_empty()).then(|| Self(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
    }

    /// The header's value: `sha256=` and HMAC-SHA-256 over the bytes of the body, in hex.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        hmac::sign(&self.0, body).as_ref().iter().fold("sha256=".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_rfc_4231_does() {
        let signer = Signer::new(&Secret::new("Jefe".to_owned())).unwrap();
        assert_eq!(
            signer.sign(b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(format!("{signer:?}"), "Signer([redacted])");
        assert!(Signer::new(&Secret::default()).is_none());
    }
}
