//! Which keys are taken and which are not: the table that threat T9 asks for.

use serde_json::{Value, json};

use super::*;
use crate::Algorithm;
use crate::SigningPair;
use crate::keyset::{KeySet, KeySetError};

const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ec(changes: &Value) -> Value {
    changed(json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y, "kid": "a" }), changes)
}

fn okp(changes: &Value) -> Value {
    changed(json!({ "kty": "OKP", "crv": "Ed25519", "x": ED, "kid": "a" }), changes)
}

fn rsa(changes: &Value) -> Value {
    changed(json!({ "kty": "RSA", "n": modulus(256), "e": "AQAB", "kid": "a" }), changes)
}

/// `null` takes a member away.
fn changed(mut jwk: Value, changes: &Value) -> Value {
    let members = jwk.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    jwk
}

/// An odd number of so many octets; nobody can tell that it is no product of two primes.
fn modulus(octets: usize) -> String {
    URL_SAFE_NO_PAD.encode(vec![0xb5; octets])
}

fn read(jwk: &Value) -> Result<PublicKey, KeyError> {
    PublicKey::from_jwk(&jwk.to_string())
}

#[test]
fn good_keys_are_taken() {
    for (jwk, algorithm) in [
        (ec(&json!({})), Algorithm::Es256),
        (ec(&json!({ "use": "sig", "alg": "ES256", "key_ops": ["verify"], "x5t": "ignored" })), Algorithm::Es256),
        (okp(&json!({ "alg": "EdDSA", "key_ops": ["sign", "verify"] })), Algorithm::EdDsa),
        (rsa(&json!({ "alg": "RS256", "kid": "k".repeat(64) })), Algorithm::Rs256),
        (rsa(&json!({ "n": modulus(1024) })), Algorithm::Rs256),
    ] {
        assert_eq!(read(&jwk).unwrap().algorithm(), algorithm, "{jwk}");
    }
}

#[test]
fn what_is_published_is_read_back() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let key = SigningPair::generate(algorithm).unwrap().public().clone().named("n").unwrap();
        let text = serde_json::to_string(&key.to_jwk()).unwrap();
        let again = PublicKey::from_jwk(&text).unwrap();
        assert_eq!(again.to_jwk(), key.to_jwk());
        assert_eq!(again.thumbprint(), key.thumbprint());
        let set = KeySet::new([key]).unwrap();
        let text = serde_json::to_string(&set.to_jwks()).unwrap();
        assert_eq!(KeySet::from_jwks(&text).unwrap().to_jwks(), set.to_jwks());
    }
    let json = serde_json::to_string(&read(&okp(&json!({}))).unwrap().to_jwk()).unwrap();
    assert_eq!(
        json,
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED}","use":"sig","alg":"EdDSA","kid":"a"}}"#),
        "nothing private, nothing empty"
    );
}

#[test]
fn t9_bad_keys_are_refused() {
    use KeyError as E;
    let wrong_y = format!("y{}", &Y[1..]);
    let dotted_x = X.replace('8', ".");
    let loose_x = format!("{}V", &X[..42]);
    let zeros = |octets: usize| URL_SAFE_NO_PAD.encode(vec![0; octets]);
    let with_zero = |octets: usize| URL_SAFE_NO_PAD.encode([&[0][..], &vec![0xb5; octets]].concat());
    let even = URL_SAFE_NO_PAD.encode(vec![0xb4; 256]);
    let bits_2047 = URL_SAFE_NO_PAD.encode([&[0x7f][..], &[0xb5; 255]].concat());
    let bits_8193 = URL_SAFE_NO_PAD.encode([&[1][..], &[0xb5; 1024]].concat());
    let table = [
        (json!({}), E::Missing("kty")),
        (json!({ "kty": "oct", "k": "" }), E::Unsupported("kty")),
        (json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" }), E::Unsupported("kty")),
        (ec(&json!({ "kty": 1 })), E::WrongType("kty")),
        (ec(&json!({ "kty": "ec" })), E::Unsupported("kty")),
        (ec(&json!({ "kty": "OKP" })), E::Unsupported("crv")),
        (ec(&json!({ "kty": "RSA" })), E::Missing("n")),
        (ec(&json!({ "crv": null })), E::Missing("crv")),
        (ec(&json!({ "crv": "P-384" })), E::Unsupported("crv")),
        (ec(&json!({ "crv": "secp256k1" })), E::Unsupported("crv")),
        (ec(&json!({ "crv": "Ed25519" })), E::Unsupported("crv")),
        (ec(&json!({ "x": null })), E::Missing("x")),
        (ec(&json!({ "y": null })), E::Missing("y")),
        (ec(&json!({ "x": 5 })), E::WrongType("x")),
        (ec(&json!({ "x": "" })), E::Length("x")),
        (ec(&json!({ "x": zeros(31) })), E::Length("x")),
        (ec(&json!({ "y": zeros(33) })), E::Length("y")),
        (ec(&json!({ "x": format!("{X}=") })), E::Encoding("x")),
        (ec(&json!({ "x": format!(" {X}") })), E::Encoding("x")),
        (ec(&json!({ "x": dotted_x })), E::Encoding("x")),
        (ec(&json!({ "x": loose_x })), E::Encoding("x")),
        (ec(&json!({ "y": wrong_y })), E::Point),
        (ec(&json!({ "x": zeros(32), "y": zeros(32) })), E::Point),
        (ec(&json!({ "x": Y, "y": X })), E::Point),
        (ec(&json!({ "x": URL_SAFE_NO_PAD.encode([0xff; 32]) })), E::Point),
        (okp(&json!({ "crv": "Ed448" })), E::Unsupported("crv")),
        (okp(&json!({ "crv": "X25519" })), E::Unsupported("crv")),
        (okp(&json!({ "x": zeros(31) })), E::Length("x")),
        (okp(&json!({ "x": zeros(57) })), E::Length("x")),
        (okp(&json!({ "x": zeros(32) })), E::Point),
        (rsa(&json!({ "n": null })), E::Missing("n")),
        (rsa(&json!({ "e": null })), E::Missing("e")),
        (rsa(&json!({ "n": "" })), E::Modulus),
        (rsa(&json!({ "n": modulus(64) })), E::Modulus),
        (rsa(&json!({ "n": modulus(128) })), E::Modulus),
        (rsa(&json!({ "n": bits_2047 })), E::Modulus),
        (rsa(&json!({ "n": bits_8193 })), E::Modulus),
        (rsa(&json!({ "n": with_zero(256) })), E::Modulus),
        (rsa(&json!({ "n": zeros(256) })), E::Modulus),
        (rsa(&json!({ "n": even })), E::Modulus),
        (rsa(&json!({ "e": "" })), E::Exponent),
        (rsa(&json!({ "e": "AA" })), E::Exponent),
        (rsa(&json!({ "e": "AQ" })), E::Exponent),
        (rsa(&json!({ "e": "Aw" })), E::Exponent),
        (rsa(&json!({ "e": "AQAA" })), E::Exponent),
        (rsa(&json!({ "e": "AAEAAQ" })), E::Exponent),
        (rsa(&json!({ "e": "AQAAAAE" })), E::Exponent),
        (ec(&json!({ "use": "enc" })), E::Purpose("use")),
        (ec(&json!({ "use": "SIG" })), E::Purpose("use")),
        (ec(&json!({ "use": ["sig"] })), E::WrongType("use")),
        (ec(&json!({ "key_ops": "verify" })), E::WrongType("key_ops")),
        (ec(&json!({ "key_ops": [1] })), E::WrongType("key_ops")),
        (ec(&json!({ "key_ops": [] })), E::Purpose("key_ops")),
        (ec(&json!({ "key_ops": ["sign"] })), E::Purpose("key_ops")),
        (ec(&json!({ "key_ops": ["verify", "verify"] })), E::Purpose("key_ops")),
        (ec(&json!({ "key_ops": ["verify", "encrypt"] })), E::Purpose("key_ops")),
        (ec(&json!({ "key_ops": ["verify", "dance"] })), E::Purpose("key_ops")),
        (ec(&json!({ "alg": "HS256" })), E::Algorithm),
        (ec(&json!({ "alg": "none" })), E::Algorithm),
        (ec(&json!({ "alg": "es256" })), E::Algorithm),
        (ec(&json!({ "alg": 7 })), E::WrongType("alg")),
        (okp(&json!({ "alg": "ES256" })), E::Algorithm),
        (rsa(&json!({ "alg": "PS256" })), E::Algorithm),
        (ec(&json!({ "kid": "" })), E::Kid),
        (ec(&json!({ "kid": "k".repeat(65) })), E::Kid),
        (ec(&json!({ "kid": 1 })), E::WrongType("kid")),
    ];
    for (jwk, cause) in table {
        assert_eq!(read(&jwk).unwrap_err(), cause, "{jwk}");
    }
    for name in PRIVATE_MEMBERS {
        for jwk in [ec(&json!({ name: "AQAB" })), okp(&json!({ name: 1 })), rsa(&json!({ name: "" }))] {
            assert_eq!(read(&jwk).unwrap_err(), E::Private(name), "{jwk}");
        }
    }
}

#[test]
fn t9_one_bad_key_spoils_the_set() {
    use KeySetError as E;
    let set = |keys: Value| KeySet::from_jwks(&json!({ "keys": keys }).to_string()).map(|set| set.iter().count());
    let bad = |index, kid: &str, cause| Err(E::BadKey { index, kid: kid.to_owned(), cause });
    assert_eq!(set(json!([ec(&json!({ "kid": null }))])), Ok(1));
    assert_eq!(set(json!([ec(&json!({})), okp(&json!({ "kid": "b" }))])), Ok(2));

    assert_eq!(set(json!([])), Err(E::Empty));
    assert_eq!(set(json!({})), Err(E::NoKeys));
    assert_eq!(set(json!(["x"])), Err(E::NoKeys));
    assert_eq!(set(json!([ec(&json!({})), okp(&json!({}))])), Err(E::DuplicateKid("a".to_owned())));
    assert_eq!(set(json!([ec(&json!({})), okp(&json!({ "kid": null }))])), Err(E::Unnamed(1)));
    let symmetric = json!({ "kty": "oct", "kid": "s", "k": "AAAA" });
    assert_eq!(set(json!([ec(&json!({})), symmetric])), bad(1, "s", KeyError::Unsupported("kty")));
    assert_eq!(set(json!([rsa(&json!({ "use": "enc" }))])), bad(0, "a", KeyError::Purpose("use")));
    let many = |count: usize| (0..count).map(|n| okp(&json!({ "kid": n.to_string() }))).collect::<Value>();
    assert_eq!(set(many(64)), Ok(64));
    assert_eq!(set(many(65)), Err(E::TooMany));

    for (text, error) in [
        ("", E::Json(json::JsonError::Syntax)),
        ("[]", E::Json(json::JsonError::NotAnObject)),
        (r#"{"keys":[],"keys":[]}"#, E::Json(json::JsonError::DuplicateMember)),
        ("{}", E::NoKeys),
        (r#"{"keys":null}"#, E::NoKeys),
    ] {
        assert_eq!(KeySet::from_jwks(text).unwrap_err(), error, "{text}");
    }
    assert_eq!(KeySet::from_jwks(&" ".repeat(256 * 1024 + 1)).unwrap_err(), E::TooLong);
    assert!(KeySet::new([]).is_err());
    assert!(KeySet::default().only().is_none());
}
