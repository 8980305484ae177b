//! Headers that lie: threats T1, T3 and T4, and T10 as far as it lies in the header.

use std::collections::BTreeSet;

use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

#[test]
fn t1_no_header_switches_the_signature_off() {
    let issuer = Issuer::new(Algorithm::Es256);
    let [_, payload, signature] = issuer.parts();
    let cases = (0..16).map(|bits| {
        let letters = "none".char_indices();
        letters.map(|(i, c)| if bits >> i & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect::<String>()
    });
    let mut tried = BTreeSet::new();
    for none in cases {
        let kid = issuer.kid();
        let spellings =
            ["", " ", "\\u0000", "\\t", "\\n", "256", "S256", ".", "-", "_"].map(|tail| format!("\"{none}{tail}\""));
        let others = ["null", "false", "0", "[]", "{}", "\"\""].map(str::to_owned);
        let lists = [format!("[\"{none}\"]"), format!("[\"ES256\",\"{none}\"]"), format!("{{\"alg\":\"{none}\"}}")];
        for alg in spellings.iter().chain(&others).chain(&lists) {
            for header in [
                format!(r#"{{"alg":{alg},"kid":"{kid}","typ":"at+jwt"}}"#),
                format!(r#"{{"alg":{alg}}}"#),
                format!(r#"{{"typ":"JWT","alg":{alg}}}"#),
                format!(r#"{{"alg":"ES256","alg":{alg},"kid":"{kid}"}}"#),
                format!(r#"{{"kid":"{kid}","typ":"at+jwt","ALG":{alg}}}"#),
            ] {
                for end in ["", "AA", signature] {
                    let forged = format!("{}.{payload}.{end}", b64(&header));
                    assert!(verify_compact(&forged, &issuer.keys).is_err(), "{header} {end}");
                }
                assert!(issuer.signed(&header).is_err(), "{header}, well signed");
                tried.insert(header);
            }
        }
    }
    assert!(tried.len() >= 1_000, "{}", tried.len());
}

#[test]
fn an_algorithm_of_another_key_is_refused() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        for alg in
            ["ES256", "EdDSA", "RS256", "ES384", "PS256", "RS512", "ES256K", "Ed25519", "HS256", "es256", "ES256 "]
        {
            let result = issuer.signed(&json!({ "alg": alg, "kid": issuer.kid() }).to_string());
            assert_eq!(result.err(), (alg != algorithm.as_str()).then_some(Rejection::AlgorithmMismatch), "{alg}");
        }
    }
}

#[test]
fn t3_keys_in_the_header_are_never_looked_at() {
    for algorithm in ALL {
        let issuer = Issuer::new(algorithm);
        let attacker = SigningPair::generate(algorithm).unwrap().named("attacker").unwrap();
        let jwk = serde_json::to_value(attacker.public().to_jwk()).unwrap();
        let certificate = STANDARD.encode(spki(&attacker));
        // Nothing listens there; a connection would not even be needed for the test to fail.
        let url = "http://127.0.0.1:9/jwks.json";
        for (name, value) in [("jwk", jwk), ("jku", json!(url)), ("x5u", json!(url)), ("x5c", json!([certificate]))] {
            for kid in [Some(issuer.kid()), Some("attacker"), Some(url), None] {
                let mut header = json!({ "alg": algorithm.as_str(), "typ": "at+jwt", name: value });
                if let Some(kid) = kid {
                    header["kid"] = json!(kid);
                }
                let forged = attacker.sign_with_header(header.to_string().as_bytes(), b"{}").unwrap();
                assert!(verify_compact(&forged, &issuer.keys).is_err(), "{header}");
            }
            // They are no reason to refuse a good token either: some issuers always send them.
            let header = json!({ "alg": algorithm.as_str(), "kid": issuer.kid(), name: value });
            assert!(issuer.signed(&header.to_string()).is_ok(), "{header}");
        }
    }
}

#[test]
fn t4_a_kid_is_a_name_and_nothing_else() {
    let issuer = Issuer::new(Algorithm::EdDsa);
    let shapes: [fn(usize, &str) -> String; 20] = [
        |n, _| format!("{}etc/passwd", "../".repeat(n)),
        |n, _| format!("{}dev/null", "..\\".repeat(n)),
        |n, _| format!("/proc/self/fd/{n}"),
        |n, _| format!("file:///keys/{n}"),
        |n, _| format!("http://169.254.169.254/{n}"),
        |n, _| format!("' OR {n}={n} --"),
        |n, _| format!("x' UNION SELECT {n} --"),
        |n, _| format!("'; DROP TABLE signing_keys; -- {n}"),
        |n, _| format!("| sleep {n}"),
        |n, _| format!("$(sleep {n})"),
        |n, _| format!("${{jndi:ldap://x/{n}}}"),
        |n, _| format!("{{{{{n}*{n}}}}}"),
        |n, _| format!("%2e%2e%2f{n}"),
        |n, _| format!("\0{n}"),
        |n, _| format!("\r\nSet-Cookie: a={n}"),
        |n, _| "k".repeat(60 + n),
        |n, kid| format!("{kid}{}", " ".repeat(n + 1)),
        |n, kid| kid.chars().take(n + 1).collect(),
        |n, kid| format!("{n}{kid}"),
        |n, kid| format!("{kid}\0{n}"),
    ];
    let mut tried = 0;
    for shape in shapes {
        for n in 0..25 {
            let kid = shape(n, issuer.kid());
            let error = issuer.signed(&json!({ "alg": "EdDSA", "kid": kid }).to_string()).unwrap_err();
            let too_long = kid.len() > MAX_KID_BYTES;
            let expected = if too_long { Rejection::HeaderInvalid("kid") } else { Rejection::UnknownKey };
            assert_eq!(error, expected, "{kid:?}");
            tried += 1;
        }
    }
    assert_eq!(tried, 500);
    for kid in ["null", "0", "true", "[]", "{}", "\"\"", "[\"a\"]"] {
        let header = format!(r#"{{"alg":"EdDSA","kid":{kid}}}"#);
        assert_eq!(issuer.signed(&header), Err(Rejection::HeaderInvalid("kid")), "{kid}");
    }
    assert!(verify_compact(&issuer.token, &issuer.keys).is_ok());
}

#[test]
fn a_token_without_a_kid_needs_a_set_of_one() {
    let [one, two] = [Issuer::new(Algorithm::EdDsa), Issuer::new(Algorithm::EdDsa)];
    let token = one.pair.sign_with_header(br#"{"alg":"EdDSA"}"#, b"{}").unwrap();
    assert_eq!(verify_compact(&token, &one.keys).unwrap().kid, one.kid());
    let both = KeySet::new([one.pair.public().clone(), two.pair.public().clone()]).unwrap();
    assert_eq!(verify_compact(&token, &both), Err(Rejection::UnknownKey));
    assert!(verify_compact(&one.token, &both).is_ok());
    assert_eq!(verify_compact(&token, &KeySet::default()), Err(Rejection::UnknownKey));
}

#[test]
fn t10_malformed_headers_are_refused_even_if_well_signed() {
    let issuer = Issuer::new(Algorithm::EdDsa);
    assert!(issuer.signed(r#" { "alg" : "EdDSA" } "#).is_ok());
    let deep = format!(r#"{{"alg":"EdDSA","a":{}{}}}"#, "[".repeat(400), "]".repeat(400));
    for header in [
        "",
        "null",
        "[]",
        "\"\"",
        "{}",
        "{",
        "{\"alg\":\"EdDSA\"",
        "{\"alg\":\"EdDSA\"}}",
        "{\"alg\":\"EdDSA\"} x",
        "{\"alg\":\"EdDSA\"}\0",
        "\u{feff}{\"alg\":\"EdDSA\"}",
        "{'alg':'EdDSA'}",
        "{\"alg\":\"EdDSA\",}",
        r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","\u0061lg":"EdDSA"}"#,
        r#"{"alg":"EdDSA","a":{"b":1,"b":1}}"#,
        r#"{"alg":"EdDSA","a":1e400}"#,
        r#"{"alg":"EdDSA","a":"\udc00"}"#,
        r#"{"Alg":"EdDSA"}"#,
        r#"{"alg":["EdDSA"]}"#,
        r#"{"alg":"EdDSA","typ":1}"#,
        r#"{"alg":"EdDSA","typ":null}"#,
        r#"{"alg":"EdDSA","crit":[]}"#,
        r#"{"alg":"EdDSA","crit":null}"#,
        r#"{"alg":"EdDSA","crit":["exp"],"exp":1}"#,
        r#"{"alg":"EdDSA","b64":true}"#,
        r#"{"alg":"EdDSA","b64":false}"#,
        r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#,
        &deep,
    ] {
        assert!(issuer.signed(header).is_err(), "{header}");
    }
    let latin = issuer.pair.sign_with_header(b"{\"alg\":\"EdDSA\",\"a\":\"\xe9\"}", b"{}").unwrap();
    assert!(verify_compact(&latin, &issuer.keys).is_err());
}
