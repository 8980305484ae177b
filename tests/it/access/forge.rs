//! Tokens that were never issued: made from a real one the way an attacker would, or with the server's own key where only
//! the claims are to be wrong. And whether any of them is let in.

use std::net::SocketAddr;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use aws_lc_rs::{hmac, signature::KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use countersign::proto::v1;
use countersign::token::ACCESS_TOKEN_TYPE;
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::harness::{TestApp, bearer};

/// A token taken apart.
pub(super) struct Parts {
    pub header: Value,
    pub claims: Value,
    pub signature: Vec<u8>,
}

pub(super) fn parts(token: &str) -> Parts {
    let [header, claims, signature] = token.split('.').map(decode).collect::<Vec<_>>().try_into().unwrap();
    Parts {
        header: serde_json::from_slice(&header).unwrap(),
        claims: serde_json::from_slice(&claims).unwrap(),
        signature,
    }
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// What is signed of a token.
pub(super) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

/// A token with any bytes for a signature.
pub(super) fn with_signature(header: &Value, claims: &Value, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}", unsigned(header, claims), encode(signature))
}

/// A header with one more member, or another value for one.
pub(super) fn with(object: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut object = object.clone();
    object[name] = value.into();
    object
}

/// An object without one of its members.
pub(super) fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name);
    object
}

/// Signs with a secret, as somebody does who hopes that a public key is taken for one.
pub(super) fn sign_with_secret(header: &Value, claims: &Value, algorithm: hmac::Algorithm, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), signed.as_bytes());
    format!("{signed}.{}", encode(tag))
}

/// The ways in which a public key is written down: as a set, a JWK, its numbers, and DER and PEM around them.
pub(super) async fn spellings(http: SocketAddr, key: &v1::Jwk) -> Vec<Vec<u8>> {
    let set = reqwest::get(format!("http://{http}/.well-known/jwks.json")).await.unwrap().text().await.unwrap();
    let jwk = serde_json::from_str::<Value>(&set).unwrap()["keys"][0].to_string();
    let (x, y, n, e) = (decode(&key.x), decode(&key.y), decode(&key.n), decode(&key.e));
    let raw = match key.kty.as_str() {
        "EC" => [&[4][..], &x, &y].concat(),
        "OKP" => x.clone(),
        _ => {
            let length = |bytes: usize| u16::try_from(bytes).unwrap().to_be_bytes();
            let modulus = [&[2, 0x82][..], &length(n.len() + 1), &[0], &n].concat();
            let exponent = [&[2, u8::try_from(e.len()).unwrap()][..], &e].concat();
            let body = [modulus, exponent].concat();
            [&[0x30, 0x82][..], &length(body.len()), &body].concat()
        }
    };
    // SubjectPublicKeyInfo: what stands before the key's own bytes (RFC 5480, RFC 8410, RFC 3279).
    let before = match key.kty.as_str() {
        "EC" => {
            b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
                .to_vec()
        }
        "OKP" => b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00".to_vec(),
        _ => {
            b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00".to_vec()
        }
    };
    let der = [before, raw.clone()].concat();
    let lines: Vec<_> = STANDARD.encode(&der).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
    let body = lines.join(&b'\n');
    let pem = [&b"-----BEGIN PUBLIC KEY-----\n"[..], &body, b"\n-----END PUBLIC KEY-----"].concat();
    let with_newline = [&pem[..], b"\n"].concat();
    vec![
        set.into_bytes(),
        jwk.into_bytes(),
        raw,
        der,
        pem,
        with_newline,
        x,
        n,
        key.kid.clone().into_bytes(),
        Vec::new(),
    ]
}

/// Somebody with a key pair of their own.
pub(super) struct Attacker(EcdsaKeyPair);

impl Attacker {
    pub(super) fn new() -> Self {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref()).unwrap())
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = unsigned(header, claims);
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", encode(signature))
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
        serde_json::json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": "ES256" })
    }
}

/// Signs with the server's own key, so that the claims alone decide.
pub(super) fn by_server(app: &TestApp, claims: impl AsRef<[u8]>) -> String {
    app.node().app().keyring.keys().active.sign(ACCESS_TOKEN_TYPE, claims.as_ref()).unwrap()
}

/// Sends every token to `Verify`, to `Introspect` and as a bearer to `GetProfile`, and gives those that were let in.
pub(super) async fn accepted(app: &TestApp, tokens: &[String]) -> Vec<String> {
    let outcomes = stream::iter(tokens).map(|token| async move {
        let mut let_in = Vec::new();
        let request = v1::VerifyRequest { token: token.clone() };
        if app.node().tokens().verify(request).await.is_ok_and(|answer| answer.into_inner().valid) {
            let_in.push(format!("Verify {token}"));
        }
        let request = bearer(v1::IntrospectRequest { token: token.clone(), ..Default::default() }, &app.api_key);
        if app.node().tokens().introspect(request).await.is_ok_and(|answer| answer.into_inner().active) {
            let_in.push(format!("Introspect {token}"));
        }
        let request = bearer(v1::GetProfileRequest {}, token);
        if app.node().accounts().get_profile(request).await.is_ok() {
            let_in.push(format!("GetProfile {token}"));
        }
        let_in
    });
    outcomes.buffer_unordered(64).collect::<Vec<_>>().await.into_iter().flatten().collect()
}
