//! The signature under what endpoints of others get, by the scheme of Standard Webhooks, whose libraries verify it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::random::Random;
use crate::secret::Secret;

/// What a secret begins with where people see it.
const PREFIX: &str = "whsec_";

/// A secret that an endpoint shares with this service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SigningSecret(Secret<[u8; 32]>);

impl SigningSecret {
    /// A new one.
    pub(super) fn generate() -> Self {
        Self(Secret::new(Random.bytes()))
    }

    pub(super) const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// As the endpoint's owner is shown it, and its library takes it.
    pub(super) fn to_text(&self) -> Secret<String> {
        Secret::new(format!("{PREFIX}{}", STANDARD.encode(self.0.expose())))
    }
}

/// The value of `webhook-signature`: one signature for each secret. `id` has no dot in it.
pub(super) fn sign(secrets: &[SigningSecret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let signatures = secrets.iter().map(|secret| {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Standard Webhooks' own library for Python (1.1.0) signs the same.
    #[test]
    fn it_signs_as_others_verify() {
        let secret = |first: u8| SigningSecret::new(std::array::from_fn(|at| first + u8::try_from(at).unwrap()));
        let secrets = [secret(0), secret(1)];
        assert_eq!(secrets[0].to_text().expose(), "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        let body = "{\"specversion\":\"1.0\",\"data\":{\"\u{6af}\":\"\u{e9}\"}}";
        assert_eq!(
            sign(&secrets, "0192aaaa-0000-7000-8000-000000000001", 1_900_000_000, body.as_bytes()),
            "v1,woH28vEqsxCIyRy2THlpIeo8q/4mwXeNeqsh/qzym7Y= v1,vEU8hwpC8EyeKTlkVDe4253FyLhd9/xC++BIomXxaPE="
        );
        assert_eq!(format!("{:?}", secrets[0]), "SigningSecret([redacted])");
    }
}
