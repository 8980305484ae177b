//! `countersign token verify`: sets of keys that are refused, and what is said of each token.

use countersign::model::Algorithm;
use countersign::token::{KeySet, SigningPair};
use serde_json::{Value, json};

use super::forge::{encode, parts, with, with_signature};
use super::program::{Outcome, Place};

fn verify(set: &str, tokens: &[u8]) -> Outcome {
    let place = Place::new();
    let file = place.file("jwks.json", set);
    place.run_with(&["token", "verify", "--jwks", &file], tokens)
}

fn jwk(algorithm: Algorithm) -> Value {
    serde_json::to_value(SigningPair::generate(algorithm).unwrap().public().to_jwk()).unwrap()
}

#[test]
fn bad_sets_are_refused_with_one_line() {
    let good = jwk(Algorithm::Es256);
    let other = jwk(Algorithm::Es256);
    let set = |keys: &[&Value]| json!({ "keys": keys }).to_string();
    let changed = |name: &str, value: Value| set(&[&with(&good, name, value)]);
    let short = json!({ "kty": "RSA", "e": "AQAB", "n": encode([0xc1; 128]) });
    let secret = |bytes: usize| json!({ "kty": "oct", "k": encode(vec![7; bytes]), "alg": "HS256" });
    let bad = [
        ("nothing", String::new()),
        ("no JSON", "keys".to_owned()),
        ("no object", "[]".to_owned()),
        ("no keys", "{}".to_owned()),
        ("an empty HMAC key", set(&[&secret(0)])),
        ("a short HMAC key", set(&[&secret(4)])),
        ("a long HMAC key", set(&[&secret(64)])),
        ("a mixed set", set(&[&good, &secret(64)])),
        ("a key for encryption", changed("use", json!("enc"))),
        ("a key for other operations", changed("key_ops", json!(["encrypt"]))),
        ("another curve", changed("crv", json!("P-384"))),
        ("a curve that ES256 does not use", changed("crv", json!("secp256k1"))),
        ("a point that is not on the curve", changed("x", json!(encode([1; 32])))),
        ("a short coordinate", changed("x", json!(encode([1; 31])))),
        ("another algorithm", changed("alg", json!("RS256"))),
        ("no algorithm", changed("alg", json!("none"))),
        ("a private half", changed("d", json!(encode([1; 32])))),
        ("an empty name", changed("kid", json!(""))),
        ("a long name", changed("kid", json!("k".repeat(65)))),
        ("a number for a name", changed("kid", json!(7))),
        ("the same name twice", set(&[&good, &with(&other, "kid", good["kid"].clone())])),
        ("an RSA key of 1024 bits", set(&[&short])),
        ("a member twice", format!("{{\"keys\":[{good}],\"keys\":[]}}")),
        ("something after it", set(&[&good]) + "x"),
    ];
    for (what, set) in bad {
        let said = verify(&set, b"a.b.c\n");
        assert_eq!(said.code, Some(2), "{what}: {said:?}");
        assert!(said.out.is_empty(), "{what}: {said:?}");
        assert_eq!(said.err.lines().count(), 1, "{what}: {said:?}");
        assert!(said.err.starts_with("countersign: the key set "), "{what}: {said:?}");
    }
    let absent = Place::new().run(&["token", "verify", "--jwks", "absent.json"]);
    assert_eq!((absent.code, absent.err.lines().count()), (Some(2), 1), "{absent:?}");
}

#[test]
fn each_token_gets_its_line() {
    let pairs = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].map(|each| SigningPair::generate(each).unwrap());
    let keys: Vec<_> = pairs.iter().map(|pair| pair.public().clone()).collect();
    let set = serde_json::to_string(&KeySet::new(keys).unwrap().to_jwks()).unwrap();
    let mut lines = Vec::new();
    let mut expected = Vec::new();
    for pair in &pairs {
        let payload = format!("{{\"sub\":\"{}\"}}", pair.public().kid());
        let token = pair.sign("JWT", payload.as_bytes()).unwrap();
        let apart = parts(&token);
        let none = with_signature(&with(&apart.header, "alg", "none"), &apart.claims, b"");
        lines.extend([token.clone(), token.clone() + "\r", token.replace('.', ".."), none, token.clone() + "="]);
        expected.extend([format!("ok {}", encode(&payload)), format!("ok {}", encode(&payload))]);
        expected.extend(["reject not_compact", "reject not_compact", "reject bad_signature"].map(str::to_owned));
        let stranger = SigningPair::generate(Algorithm::Es256).unwrap().sign("JWT", b"{}").unwrap();
        lines.extend([stranger, with_signature(&apart.header, &json!({}), &apart.signature), "a".repeat(9_000)]);
        expected.extend(["reject unknown_key", "reject bad_signature", "reject too_long"].map(str::to_owned));
        lines.push(with_signature(&with(&apart.header, "alg", "HS256"), &apart.claims, &apart.signature));
        expected.push("reject algorithm_mismatch".to_owned());
        lines.push(with_signature(&with(&apart.header, "crit", json!(["exp"])), &apart.claims, &apart.signature));
        expected.push("reject header_not_understood".to_owned());
    }
    let mut input = lines.join("\n").into_bytes();
    input.extend(b"\n\n\xff\xfe.a.b\n");
    expected.extend(["reject not_compact", "reject not_compact"].map(str::to_owned));
    let said = verify(&set, &input);
    assert_eq!(said.code, Some(0), "{said:?}");
    let printed: Vec<_> = said.out.lines().collect();
    assert_eq!(printed, expected);
    assert!(said.err.is_empty());
}
