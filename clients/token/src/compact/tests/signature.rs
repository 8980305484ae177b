//! Signatures that nobody made: threats T2 and T5.

use std::fmt::Write;

use aws_lc_rs::hmac;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

#[test]
fn t2_a_public_key_is_no_secret() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        let jwk = issuer.pair.public().to_jwk();
        let jwks = issuer.keys.to_jwks();
        let der = spki(&issuer.pair);
        let mut secrets = vec![serde_json::to_vec(&jwk).unwrap(), serde_json::to_vec(&jwks).unwrap(), der.clone()];
        for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
            for end in ["\n", "", "\r\n"] {
                let lines = STANDARD.encode(&der).into_bytes();
                let lines = lines.chunks(64).fold(String::new(), |mut text, line| {
                    writeln!(text, "{}", str::from_utf8(line).unwrap()).unwrap();
                    text
                });
                secrets.push(format!("-----BEGIN {label}-----\n{lines}-----END {label}-----{end}").into_bytes());
            }
        }
        for member in ["x", "y", "n", "e"] {
            if let Some(text) = serde_json::to_value(&jwk).unwrap()[member].as_str() {
                secrets.push(text.as_bytes().to_vec());
                secrets.push(URL_SAFE_NO_PAD.decode(text).unwrap());
            }
        }
        secrets.push(vec![]);
        for secret in &secrets {
            for (alg, hash) in [
                ("HS256", hmac::HMAC_SHA256),
                ("HS384", hmac::HMAC_SHA384),
                ("HS512", hmac::HMAC_SHA512),
                (algorithm.as_str(), hmac::HMAC_SHA256),
            ] {
                for header in [json!({ "alg": alg, "kid": issuer.kid() }), json!({ "alg": alg })] {
                    let signed = format!("{}.{}", b64(header.to_string()), issuer.parts()[1]);
                    let tag = hmac::sign(&hmac::Key::new(hash, secret), signed.as_bytes());
                    assert!(verify_compact(&format!("{signed}.{}", b64(tag)), &issuer.keys).is_err(), "{header}");
                }
            }
        }
    }
}

#[test]
fn t5_psychic_signatures_are_refused() {
    let issuer = Issuer::new(Algorithm::Es256);
    let [header, payload, honest] = issuer.parts();
    let hex =
        |text: &str| -> [u8; 32] { std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()) };
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc6325";
    let field = "ffffffff00000001000000000000000000000000ffffffffffffffffffffff";
    let mut values = vec![hex(&"0".repeat(64)), hex(&format!("{}1", "0".repeat(63))), [0xff; 32]];
    values.extend(["4f", "50", "51", "52", "53"].map(|end| hex(&format!("{order}{end}"))));
    values.extend(["fe", "ff"].map(|end| hex(&format!("{field}{end}"))));
    let honest = URL_SAFE_NO_PAD.decode(honest).unwrap();
    let halves: [[u8; 32]; 2] = [honest[..32].try_into().unwrap(), honest[32..].try_into().unwrap()];
    values.extend(halves);
    let mut tried = 0;
    for r in &values {
        for s in &values {
            if [*r, *s] != halves {
                let forged = format!("{header}.{payload}.{}", b64([*r, *s].concat()));
                assert_eq!(verify_compact(&forged, &issuer.keys), Err(Rejection::BadSignature), "{r:x?} {s:x?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, values.len().pow(2) - 1);
    // The same numbers as DER, as Java would write them, and in every other length.
    let der = [&[0x30, 0x44, 2, 0x20][..], &halves[0], &[2, 0x20], &halves[1]].concat();
    assert!(verify_compact(&format!("{header}.{payload}.{}", b64(der)), &issuer.keys).is_err());
    for length in (0..64).chain(65..140) {
        let stretched = honest.iter().copied().chain([0; 80]).take(length).collect::<Vec<_>>();
        assert!(verify_compact(&format!("{header}.{payload}.{}", b64(stretched)), &issuer.keys).is_err(), "{length}");
    }
}

#[test]
fn signatures_have_exactly_their_length() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        let [header, payload, signature] = issuer.parts();
        let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for changed in
            [&octets[1..], &octets[..octets.len() - 1], &[&[0], &*octets].concat(), &[&*octets, &[0]].concat()]
        {
            let forged = format!("{header}.{payload}.{}", b64(changed));
            assert_eq!(verify_compact(&forged, &issuer.keys), Err(Rejection::BadSignature));
        }
    }
}
