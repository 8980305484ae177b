//! `Introspect`, `BatchIntrospect` and `Verify`: what is said of tokens that count, and of those that do not.

use countersign::proto::v1;
use prost_types::value::Kind;
use tonic::Code;

use super::forge::{Attacker, by_server, parts, with};
use crate::harness::{Backend, TestApp, bearer, details, login, on_both_backends};

on_both_backends!(
    everything_is_told_of_an_accounts_token,
    everything_is_told_of_an_anonymous_token,
    audience_and_scopes_are_demanded,
    what_is_malformed_is_named,
    a_batch_is_answered_in_order,
    verify_tells_why,
    the_answer_says_up_to_when_it_knows,
);

const SCOPES: &[(&str, &str)] = &[("token.scopes", "read,write"), ("token.audience", "shop,countersign")];

async fn introspect(app: &TestApp, request: v1::IntrospectRequest) -> v1::IntrospectResponse {
    app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner()
}

fn asked(token: &str) -> v1::IntrospectRequest {
    v1::IntrospectRequest { token: token.to_owned(), ..Default::default() }
}

async fn everything_is_told_of_an_accounts_token(backend: Backend) {
    let app = TestApp::with(backend, SCOPES).await;
    let challenge = app.challenge("09121234567").await;
    let client = v1::ClientContext { device_id: "phone-7".to_owned(), ..Default::default() };
    let code = app.code(&challenge.challenge_id).await;
    let request = v1::LoginRequest { client: Some(client), ..login(&challenge.challenge_id, &code) };
    let answer = app.node().auth().login(bearer(request, &app.api_key)).await.unwrap().into_inner();
    let (account, tokens) = (answer.account.unwrap(), answer.tokens.unwrap());

    app.advance(10);
    let now = app.now().timestamp();
    let claims = parts(&tokens.access_token).claims;
    let text = |name: &str| claims[name].as_str().unwrap().to_owned();
    let seen = introspect(&app, asked(&tokens.access_token)).await;
    let as_of = seen.as_of.unwrap().seconds;
    assert!((now - 10..=now).contains(&as_of));
    let expected = v1::IntrospectResponse {
        active: true,
        token_type: "Bearer".to_owned(),
        scope: "read write".to_owned(),
        client_id: "development".to_owned(),
        username: String::new(),
        sub: account.account_id,
        aud: vec!["shop".to_owned(), "countersign".to_owned()],
        iss: "http://127.0.0.1:8080".to_owned(),
        jti: text("jti"),
        sid: text("sid"),
        exp: now + 290,
        iat: now - 10,
        nbf: now - 10,
        auth_time: now - 10,
        amr: vec!["otp".to_owned(), "sms".to_owned()],
        roles: Vec::new(),
        anonymous: false,
        device_id: "phone-7".to_owned(),
        claims: None,
        expires_in: 290,
        cache_ttl: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
        as_of: seen.as_of,
    };
    assert_eq!(seen, expected);
    // Near its end it may not be kept for longer than it lives.
    app.advance(288);
    let seen = introspect(&app, asked(&tokens.access_token)).await;
    assert_eq!((seen.expires_in, seen.cache_ttl.unwrap().seconds), (2, 2));
    app.stop().await;
}

async fn everything_is_told_of_an_anonymous_token(backend: Backend) {
    let app = TestApp::with(backend, &[("token.anonymous_scopes", "browse")]).await;
    let answer = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let answer = answer.into_inner();
    let seen = introspect(&app, asked(&answer.access_token)).await;
    assert!(seen.active && seen.anonymous);
    assert_eq!((seen.sub, seen.sid.as_str(), seen.scope.as_str()), (answer.anonymous_id, "", "browse"));
    assert_eq!((seen.client_id.as_str(), seen.auth_time, seen.expires_in), ("app", 0, answer.expires_in));
    assert!(seen.amr.is_empty() && seen.roles.is_empty() && seen.claims.is_none());
    app.stop().await;
}

async fn audience_and_scopes_are_demanded(backend: Backend) {
    let app = TestApp::with(backend, SCOPES).await;
    let token = app.sign_in("09121234567").await.access_token;
    let demand = async |audience: &str, scopes: &[&str]| {
        let required_scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let request = v1::IntrospectRequest { audience: audience.to_owned(), required_scopes, ..asked(&token) };
        introspect(&app, request).await.active
    };
    assert!(demand("", &[]).await);
    assert!(demand("shop", &["read"]).await);
    assert!(demand("countersign", &["write", "read"]).await);
    assert!(!demand("bank", &[]).await);
    assert!(!demand("sho", &[]).await);
    assert!(!demand("shop", &["admin"]).await);
    assert!(!demand("shop", &["read", "rea"]).await);
    assert!(!demand("shop", &["read write"]).await);
    assert!(!demand("shop", &[""]).await);
    app.stop().await;
}

async fn what_is_malformed_is_named(backend: Backend) {
    let app = TestApp::new(backend).await;
    let long = "a".repeat(8 * 1024 + 1);
    for token in ["", &long] {
        let refused = app.node().tokens().introspect(bearer(asked(token), &app.api_key)).await.unwrap_err();
        let refused = details(&refused);
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["token".to_owned()]));
        let request = v1::VerifyRequest { token: token.to_owned() };
        let refused = details(&app.node().tokens().verify(request).await.unwrap_err());
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec!["token".to_owned()]));
    }
    let request =
        v1::IntrospectRequest { audience: "a".repeat(257), required_scopes: vec!["scope".to_owned(); 33], ..asked("") };
    let refused = app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap_err();
    assert_eq!(details(&refused).fields, ["token", "audience", "required_scopes"]);
    // The longest that is read is no token, and no error.
    assert!(!introspect(&app, asked(&long[1..])).await.active);
    app.stop().await;
}

async fn a_batch_is_answered_in_order(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let visitor = visitor.into_inner();
    let foreign = Attacker::new().sign(&parts(&person.access_token).header, &parts(&person.access_token).claims);
    let mix = [person.access_token, visitor.access_token, foreign, person.refresh_token, app.api_key.clone()];
    let tokens: Vec<_> = mix.iter().cycle().take(1_000).cloned().collect();
    let batch = async |tokens: Vec<String>| {
        let request = v1::BatchIntrospectRequest { tokens, ..Default::default() };
        app.node().tokens().batch_introspect(bearer(request, &app.api_key)).await
    };
    let results = batch(tokens.clone()).await.unwrap().into_inner().results;
    assert_eq!(results.len(), 1_000);
    for (index, result) in results.iter().enumerate() {
        match index % 5 {
            0 => assert!(result.active && result.sub == person.account_id),
            1 => assert!(result.active && result.sub == visitor.anonymous_id),
            _ => {
                let bare = v1::IntrospectResponse { as_of: result.as_of, ..Default::default() };
                assert_eq!(*result, bare, "at {index}");
            }
        }
    }
    let one_more = [tokens, vec!["a".to_owned()]].concat();
    for (tokens, field) in
        [(one_more, "tokens"), (Vec::new(), "tokens"), (vec!["a".to_owned(), String::new()], "tokens[1]")]
    {
        let refused = details(&batch(tokens).await.unwrap_err());
        assert_eq!((refused.code, refused.fields), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    app.stop().await;
}

async fn verify_tells_why(backend: Backend) {
    use v1::InvalidReason as Reason;
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let verify = async |token: &str| {
        let request = v1::VerifyRequest { token: token.to_owned() };
        let answer = app.node().tokens().verify(request).await.unwrap().into_inner();
        assert_eq!(answer.valid, answer.claims.is_some());
        (answer.reason(), answer.claims)
    };
    let token = parts(&person.access_token);
    let now = app.now().timestamp();
    let changed =
        |claim: &str, value: serde_json::Value| by_server(&app, with(&token.claims, claim, value).to_string());
    let (reason, claims) = verify(&person.access_token).await;
    assert_eq!(reason, Reason::Unspecified);
    let claims = claims.unwrap().fields;
    assert_eq!(claims["sub"].kind, Some(Kind::StringValue(person.account_id.clone())));
    assert_eq!(claims.len(), token.claims.as_object().unwrap().len());

    for (token, reason) in [
        ("rubbish".to_owned(), Reason::Malformed),
        (person.refresh_token.clone(), Reason::Malformed),
        (app.api_key.clone(), Reason::Malformed),
        (Attacker::new().sign(&token.header, &token.claims), Reason::Signature),
        (Attacker::new().sign(&with(&token.header, "kid", "other"), &token.claims), Reason::Signature),
        (changed("exp", (now - 6).into()), Reason::Expired),
        (changed("nbf", (now + 6).into()), Reason::NotYetValid),
        (changed("iss", "http://elsewhere".into()), Reason::IssuerOrAudience),
        (changed("aud", "elsewhere".into()), Reason::IssuerOrAudience),
    ] {
        assert_eq!(verify(&token).await.0, reason, "{token}");
    }
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await.unwrap();
    assert_eq!(verify(&person.access_token).await.0, Reason::Revoked);
    app.stop().await;
}

async fn the_answer_says_up_to_when_it_knows(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = app.sign_in("09121234567").await.access_token;
    let as_of = async || introspect(&app, asked(&token)).await.as_of.unwrap().seconds;
    let before = as_of().await;
    // Past the bound the database is asked per call, so that the answer is never older than that.
    app.advance(60);
    assert!(as_of().await >= before + 55);
    app.stop().await;
}
