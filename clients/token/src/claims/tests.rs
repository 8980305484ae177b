//! What access tokens may say: threats T6 and T7, and T8 as far as it lies in `typ`.

use chrono::TimeDelta;

use super::*;
use crate::Algorithm;
use crate::SigningPair;

const NOW: i64 = 1_800_000_000;

fn claims() -> AccessClaims {
    AccessClaims {
        iss: "https://auth.example".to_owned(),
        sub: "01890000-0000-7000-8000-000000000001".parse().unwrap(),
        aud: vec!["shop".to_owned()],
        exp: NOW + 600,
        iat: NOW,
        nbf: NOW,
        jti: "01890000-0000-7000-8000-000000000002".parse().unwrap(),
        sid: None,
        client_id: String::new(),
        scope: String::new(),
        roles: vec![],
        amr: vec![],
        auth_time: None,
        anon: false,
        device_id: None,
        username: None,
        extra: Map::new(),
    }
}

fn full() -> AccessClaims {
    AccessClaims {
        aud: vec!["shop".to_owned(), "forum".to_owned()],
        sid: Some("01890000-0000-7000-8000-000000000003".parse().unwrap()),
        client_id: "web".to_owned(),
        scope: "read write".to_owned(),
        roles: vec!["admin".to_owned()],
        amr: vec!["pwd".to_owned(), "otp".to_owned()],
        auth_time: Some(NOW - 30),
        anon: true,
        device_id: Some("d-1".to_owned()),
        username: Some("رضا".to_owned()),
        extra: json!({ "tenant": { "id": 7 }, "score": 1.5 }).as_object().unwrap().clone(),
        ..claims()
    }
}

fn changed(name: &str, value: &str) -> Vec<u8> {
    let mut members: Map<String, Value> = serde_json::from_slice(&full().to_json()).unwrap();
    members.insert(name.to_owned(), json!("PLACE"));
    Value::Object(members).to_string().replace("\"PLACE\"", value).into_bytes()
}

#[test]
fn claims_are_read_as_they_were_written() {
    for claims in [claims(), full()] {
        assert_eq!(AccessClaims::from_json(&claims.to_json()), Ok(claims));
    }
}

#[test]
fn what_is_empty_is_left_out() {
    let written: Value = serde_json::from_slice(&claims().to_json()).unwrap();
    let expected = json!({
        "iss": "https://auth.example", "sub": "01890000-0000-7000-8000-000000000001", "aud": "shop",
        "exp": NOW + 600, "iat": NOW, "nbf": NOW, "jti": "01890000-0000-7000-8000-000000000002",
    });
    assert_eq!(written, expected);
    let empty = AccessClaims { device_id: Some(String::new()), username: Some(String::new()), ..claims() };
    assert_eq!(empty.to_json(), claims().to_json());
}

#[test]
fn custom_claims_do_not_stand_in_for_ours() {
    let mut forged = claims();
    for name in RESERVED_CLAIMS {
        forged.extra.insert(name.to_owned(), json!(true));
    }
    assert_eq!(forged.to_json(), claims().to_json());
}

#[test]
fn t6_times_of_the_wrong_type_or_size_are_refused() {
    let pair = SigningPair::generate(Algorithm::EdDsa).unwrap();
    let keys = KeySet::new([pair.public().clone()]).unwrap();
    let read = |payload: &[u8]| {
        read_access_token(&pair.sign(ACCESS_TOKEN_TYPE, payload).unwrap(), &keys).map(|(_, claims)| claims)
    };
    assert_eq!(read(&full().to_json()), Ok(full()));
    for name in ["exp", "nbf", "iat", "auth_time"] {
        assert_eq!(read(&changed(name, "1e400")).unwrap_err().as_str(), "claims_malformed", "{name}");
        for value in [
            "\"1800000000\"",
            "null",
            "[1800000000]",
            "{}",
            "true",
            "1.8e9",
            "1800000000.0",
            "1800000000.5",
            "-1",
            "-0",
            "253402300800",
            "9223372036854775807",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
            "\"\"",
        ] {
            assert_eq!(read(&changed(name, value)), Err(Rejection::ClaimInvalid(name)), "{name}: {value}");
        }
        for value in ["0", "253402300799"] {
            assert!(read(&changed(name, value)).is_ok(), "{name}: {value}");
        }
    }
}

#[test]
fn other_claims_of_the_wrong_type_are_refused() {
    for (names, values) in [
        (&["iss", "client_id", "scope", "device_id", "username"][..], &["1", "null", "\"\"", "[\"a\"]", "{}"][..]),
        (&["sub", "jti", "sid"], &["1", "null", "\"\"", "\"x\"", "\"01890000000070008000000000000001\"", "[]"]),
        (&["aud"], &["1", "null", "\"\"", "[]", "[1]", "[null]", "[\"\"]", "[\"a\",2]", "[[\"a\"]]", "{}"]),
        (&["roles", "amr"], &["1", "null", "\"admin\"", "[1]", "[null]", "[\"a\",[]]", "{}"]),
        (&["anon"], &["1", "0", "null", "\"true\"", "[]"]),
    ] {
        for &name in names {
            for &value in values {
                let error = AccessClaims::from_json(&changed(name, value)).unwrap_err();
                assert_eq!(error, Rejection::ClaimInvalid(name), "{name}: {value}");
            }
        }
    }
    for name in ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"] {
        let mut members: Map<String, Value> = serde_json::from_slice(&full().to_json()).unwrap();
        members.remove(name);
        let payload = Value::Object(members).to_string();
        assert_eq!(AccessClaims::from_json(payload.as_bytes()), Err(Rejection::ClaimMissing(name)));
    }
    let doubled = changed("iss", "\"x\",\"exp\":1");
    assert_eq!(AccessClaims::from_json(&doubled), Err(Rejection::ClaimsMalformed(json::JsonError::DuplicateMember)));
    for payload in ["", "null", "[]", "\"{}\""] {
        assert_eq!(AccessClaims::from_json(payload.as_bytes()).unwrap_err().as_str(), "claims_malformed");
    }
}

#[test]
fn t7_times_are_held_to_the_leeway() {
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let check = |claims: &AccessClaims, leeway_seconds, now| {
        claims.check(&Expected { issuer: "https://auth.example", audience: None, leeway_seconds }, now)
    };
    let at = |exp, nbf, iat| AccessClaims { exp: NOW + exp, nbf: NOW + nbf, iat: NOW + iat, ..claims() };
    for (token, leeway, result) in [
        (at(600, 0, 0), 5, Ok(())),
        (at(-5, -60, -60), 5, Ok(())),
        (at(-6, -60, -60), 5, Err(Rejection::Expired)),
        (at(-6, -60, -60), 255, Err(Rejection::Expired)),
        (at(600, 5, 0), 5, Ok(())),
        (at(600, 6, 0), 5, Err(Rejection::NotYetValid)),
        (at(600, 6, 0), 255, Err(Rejection::NotYetValid)),
        (at(600, 0, 5), 5, Ok(())),
        (at(600, 0, 6), 5, Err(Rejection::IssuedInFuture)),
        (at(1, 0, 0), 0, Ok(())),
        (at(0, -60, -60), 0, Err(Rejection::Expired)),
        (at(-1, -60, -60), 0, Err(Rejection::Expired)),
        (at(600, 1, 0), 0, Err(Rejection::NotYetValid)),
    ] {
        assert_eq!(check(&token, leeway, now), result, "{token:?}");
    }
    let a_little = TimeDelta::microseconds(1);
    assert_eq!(check(&at(-5, -60, -60), 5, now + a_little), Err(Rejection::Expired));
    assert_eq!(check(&at(600, 5, 0), 5, now - a_little), Err(Rejection::NotYetValid));
}

#[test]
fn issuer_and_audience_are_compared_whole() {
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let check = |issuer, audience| full().check(&Expected { issuer, audience, leeway_seconds: 5 }, now);
    assert_eq!(check("https://auth.example", None), Ok(()));
    assert_eq!(check("https://auth.example", Some("forum")), Ok(()));
    for audience in ["", "sho", "shop ", "SHOP", "shop,forum"] {
        assert_eq!(check("https://auth.example", Some(audience)), Err(Rejection::WrongAudience), "{audience}");
    }
    for issuer in ["", "https://auth.example/", "https://AUTH.example", "https://auth.exampl"] {
        assert_eq!(check(issuer, None), Err(Rejection::WrongIssuer), "{issuer}");
    }
}

#[test]
fn t8_only_access_tokens_are_access_tokens() {
    let pair = SigningPair::generate(Algorithm::EdDsa).unwrap();
    let keys = KeySet::new([pair.public().clone()]).unwrap();
    let read = |typ: &str| read_access_token(&pair.sign(typ, &claims().to_json()).unwrap(), &keys);
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert_eq!(read(typ).map(|(_, claims)| claims), Ok(claims()), "{typ}");
    }
    for typ in [
        "",
        "JWT",
        "jwt",
        "rt+jwt",
        "id+jwt",
        "logout+jwt",
        "token-introspection+jwt",
        "dpop+jwt",
        "secevent+jwt",
        " at+jwt",
        "at+jwt ",
        "at+jwt\0",
        "at+jwt;v=1",
        "xat+jwt",
        "text/at+jwt",
        "application/",
        "application/application/at+jwt",
        "applicatioñ/at+jwt",
        "at jwt",
    ] {
        assert_eq!(read(typ), Err(Rejection::WrongType), "{typ}");
    }
    let untyped = format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, pair.public().kid());
    let untyped = pair.sign_with_header(untyped.as_bytes(), &claims().to_json()).unwrap();
    assert_eq!(read_access_token(&untyped, &keys), Err(Rejection::WrongType));
}
