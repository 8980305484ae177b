//! Tokens that an attacker makes from a real one: none of them is let in anywhere (RFC 8725).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::proto::v1;
use serde_json::json;
use tokio::net::TcpListener;

use super::forge::{
    Attacker, Parts, accepted, by_server, parts, sign_with_secret, spellings, with, with_signature, without,
};
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(
    no_spelling_of_no_algorithm_is_taken,
    addresses_and_keys_in_the_header_are_ignored,
    a_key_name_is_only_a_name,
    times_are_numbers_and_kept,
);

const NOTHING: Vec<String> = Vec::new();

async fn app_and_token(backend: Backend, settings: &[(&str, &str)]) -> (TestApp, Parts) {
    let app = TestApp::with(backend, settings).await;
    let person = app.sign_in("09121234567").await;
    assert_eq!(accepted(&app, std::slice::from_ref(&person.access_token)).await.len(), 3);
    let token = parts(&person.access_token);
    (app, token)
}

/// T1: 1,000 headers, each of which says in some way that there is no algorithm.
async fn no_spelling_of_no_algorithm_is_taken(backend: Backend) {
    let (app, token) = app_and_token(backend, &[]).await;
    let spelled = (0..16_usize).map(|case| {
        let letter =
            |(at, letter): (usize, char)| if case >> at & 1 == 1 { letter.to_ascii_uppercase() } else { letter };
        json!("none".chars().enumerate().map(letter).collect::<String>())
    });
    let odd = [json!(null), json!(""), json!(" none"), json!("none "), json!("none\u{0}"), json!(0), json!(["none"])];
    let odd = odd.into_iter().chain([json!({ "none": true }), json!("nоne")]);
    let signatures = [Vec::new(), token.signature.clone(), vec![0; 64], vec![0xff; 64]];
    let names = [token.header["kid"].clone(), json!("another"), json!(""), json!(null), json!(["a"])];
    let mut tokens = Vec::new();
    for algorithm in spelled.chain(odd) {
        for signature in &signatures {
            for name in &names {
                let header = with(&with(&token.header, "alg", algorithm.clone()), "kid", name.clone());
                tokens.push(with_signature(&header, &token.claims, signature));
                tokens.push(with_signature(&without(&header, "kid"), &token.claims, signature));
            }
        }
    }
    assert_eq!(tokens.len(), 1_000);
    assert_eq!(accepted(&app, &tokens).await, NOTHING);
    app.stop().await;
}

/// T2: the public key as a secret, and one algorithm for another, on a server of each algorithm.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_key_is_no_secret_and_algorithms_are_not_confused() {
    for algorithm in ["ES256", "EdDSA", "RS256"] {
        let (app, token) = app_and_token(Backend::Embedded, &[("keys.algorithm", algorithm)]).await;
        assert_eq!(token.header["alg"], algorithm);
        let answer = app.node().tokens().get_jwks(v1::GetJwksRequest {}).await.unwrap().into_inner();
        let kid = token.header["kid"].as_str().unwrap();
        let key = answer.keys.iter().find(|key| key.kid == kid).unwrap();
        let secrets = spellings(app.node().http, key).await;
        let mut tokens = Vec::new();
        for secret in &secrets {
            for (name, mac) in
                [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
            {
                let header = with(&token.header, "alg", name);
                tokens.push(sign_with_secret(&header, &token.claims, mac, secret));
                tokens.push(sign_with_secret(&without(&header, "kid"), &token.claims, mac, secret));
                // The same tag under the name that the key expects.
                tokens.push(sign_with_secret(&token.header, &token.claims, mac, secret));
            }
        }
        let attacker = Attacker::new();
        for other in ["ES256", "ES256K", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "RS512", "PS256", "es256"] {
            let header = with(&token.header, "alg", other);
            tokens.push(attacker.sign(&header, &token.claims));
            if other != algorithm {
                tokens.push(with_signature(&header, &token.claims, &token.signature));
            }
        }
        assert_eq!(accepted(&app, &tokens).await, NOTHING, "{algorithm}");
        app.stop().await;
    }
}

/// T3: keys and addresses of keys in the header; nobody is asked.
async fn addresses_and_keys_in_the_header_are_ignored(backend: Backend) {
    let (app, token) = app_and_token(backend, &[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let counting = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let attacker = Attacker::new();
    let jwk = attacker.jwk();
    let members = [
        ("jwk", jwk.clone()),
        ("jku", json!(format!("http://{address}/jwks.json"))),
        ("jku", json!(format!("http://127.0.0.1:8080@{address}/.well-known/jwks.json"))),
        ("x5u", json!(format!("http://{address}/cert.pem"))),
        ("x5c", json!([STANDARD.encode(jwk.to_string())])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ];
    let mut tokens = Vec::new();
    for (name, value) in &members {
        let header = with(&token.header, name, value.clone());
        for kid in [token.header["kid"].clone(), json!("attacker"), json!(format!("http://{address}/key"))] {
            tokens.push(attacker.sign(&with(&header, "kid", kid), &token.claims));
        }
        tokens.push(attacker.sign(&without(&header, "kid"), &token.claims));
        tokens.push(attacker.sign(&header, &with(&token.claims, "iss", format!("http://{address}"))));
    }
    let all = members.iter().fold(token.header.clone(), |header, (name, value)| with(&header, name, value.clone()));
    tokens.push(attacker.sign(&all, &token.claims));
    assert_eq!(accepted(&app, &tokens).await, NOTHING);
    assert_eq!(connections.load(Ordering::Relaxed), 0);
    counting.abort();
    app.stop().await;
}

/// T4: 500 names of keys that mean something to a file system, a database or a shell.
async fn a_key_name_is_only_a_name(backend: Backend) {
    let (app, token) = app_and_token(backend, &[]).await;
    let attacker = Attacker::new();
    let kid = token.header["kid"].as_str().unwrap();
    let meanings = [
        "../../../../dev/null",
        "/dev/null",
        "/proc/self/environ",
        "..\\..\\windows\\win.ini",
        "file:///dev/null",
        "' OR '1'='1",
        "' UNION SELECT 'AAAA",
        "'; DROP TABLE signing_keys; --",
        "\" OR \"\"=\"",
        "1); DELETE FROM accounts",
        "$(id)",
        "`id`",
        "| id",
        "; id",
        "%00",
        "\u{0}",
        "\r\nx-evil: 1",
        "*",
        "?",
        "${jndi:ldap://127.0.0.1/a}",
        "{{7*7}}",
        "%2e%2e%2fkeys",
        "۱۲۳",
        "\u{202e}kid",
        "null",
    ];
    let shapes: [fn(&str, &str) -> String; 20] = [
        |name, _| name.to_owned(),
        |name, kid| format!("{kid}{name}"),
        |name, kid| format!("{name}{kid}"),
        |name, kid| format!("{kid}\u{0}{name}"),
        |name, kid| format!("{kid}/{name}"),
        |name, kid| format!("{kid}'{name}"),
        |name, kid| format!("{kid} {name}"),
        |name, _| format!("keys/{name}"),
        |name, _| format!("{name}.pem"),
        |name, _| format!("{name}\u{0}.pem"),
        |name, _| format!("../{name}"),
        |name, _| format!("'{name}'"),
        |name, _| format!("\"{name}\""),
        |name, _| format!("{name}--"),
        |name, _| format!("{name}/*"),
        |name, _| name.repeat(2),
        |name, _| name.repeat(40),
        |name, _| name.to_uppercase() + "x",
        |name, _| format!(" {name}"),
        |name, _| format!("{name}\n"),
    ];
    let mut tokens = Vec::new();
    for meaning in meanings {
        for shape in shapes {
            let header = with(&token.header, "kid", shape(meaning, kid));
            tokens.push(attacker.sign(&header, &token.claims));
        }
    }
    assert_eq!(tokens.len(), 500);
    assert_eq!(accepted(&app, &tokens).await, NOTHING);
    // The keys and the account are what they were.
    assert!(app.node().app().keyring.reload().await.is_ok());
    let real = by_server(&app, token.claims.to_string());
    assert_eq!(accepted(&app, &[real]).await.len(), 3);
    app.stop().await;
}

/// T5: ECDSA signatures whose numbers are out of range verify everything where nobody looks (CVE-2022-21449).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_out_of_range_are_refused() {
    let (app, token) = app_and_token(Backend::Embedded, &[]).await;
    let order = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51_u8,
    ];
    let mut past = order;
    past[31] += 1;
    let one = std::array::from_fn(|at| u8::from(at == 31));
    let (r, s): ([u8; 32], [u8; 32]) =
        (token.signature[..32].try_into().unwrap(), token.signature[32..].try_into().unwrap());
    let numbers = [[0; 32], one, order, past, [0xff; 32], r, s];
    let mut tokens = Vec::new();
    for first in numbers {
        for second in numbers {
            if (first, second) != (r, s) {
                tokens.push(with_signature(&token.header, &token.claims, [first, second].concat()));
            }
        }
    }
    for length in [0, 1, 63, 65, 96, 128] {
        tokens.push(with_signature(&token.header, &token.claims, vec![0; length]));
    }
    tokens.push(with_signature(&token.header, &token.claims, b"\x30\x06\x02\x01\x00\x02\x01\x00"));
    assert_eq!(accepted(&app, &tokens).await, NOTHING);
    app.stop().await;
}

/// T6 and T7: signed by the server's own key, so that only the claims stand in the way.
async fn times_are_numbers_and_kept(backend: Backend) {
    let (app, token) = app_and_token(backend, &[]).await;
    let now = app.now().timestamp();
    let mut tokens = Vec::new();
    for claim in ["exp", "nbf", "iat", "auth_time"] {
        let good = token.claims[claim].to_string();
        let wrong = [
            format!("\"{good}\""),
            "null".to_owned(),
            "1e400".to_owned(),
            format!("[{good}]"),
            "true".to_owned(),
            format!("{{\"time\":{good}}}"),
            "-1".to_owned(),
            format!("{good}.5"),
            "18446744073709551616".to_owned(),
            "\"\"".to_owned(),
            "NaN".to_owned(),
            "9223372036854775807".to_owned(),
        ];
        let written = token.claims.to_string();
        let member = format!("\"{claim}\":{good}");
        assert!(written.contains(&member));
        for wrong in wrong {
            tokens.push(by_server(&app, written.replace(&member, &format!("\"{claim}\":{wrong}"))));
        }
        tokens.push(by_server(&app, written.replace(&member, &format!("{member},{member}"))));
    }
    for claim in ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"] {
        tokens.push(by_server(&app, without(&token.claims, claim).to_string()));
    }
    for (claim, value) in [
        ("nbf", json!(now + 6)),
        ("exp", json!(now - 6)),
        ("iat", json!(now + 6)),
        ("iss", json!("http://elsewhere")),
        ("iss", json!("http://127.0.0.1:8080/")),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("aud", json!({})),
        ("sub", json!("admin")),
        ("sub", json!("")),
        ("jti", json!(7)),
    ] {
        tokens.push(by_server(&app, with(&token.claims, claim, value).to_string()));
    }
    assert_eq!(accepted(&app, &tokens).await, NOTHING);
    // The leeway is 2 s unless configured otherwise.
    for (claim, value) in [("nbf", now + 2), ("exp", now - 1), ("iat", now + 2)] {
        let token = by_server(&app, with(&token.claims, claim, value).to_string());
        assert_eq!(accepted(&app, &[token]).await.len(), 3, "{claim}");
    }
    app.stop().await;
}
