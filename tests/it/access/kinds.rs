//! Each kind of token is good for what it is meant for and for nothing else.

use countersign::proto::v1;
use tonic::Request;

use crate::harness::{Backend, Person, TestApp, bearer, on_both_backends};

on_both_backends!(only_the_diagonal_passes);

/// A fresh token of each kind: access, anonymous, refresh, API key.
struct Kinds([String; 4]);

const NAMES: [&str; 4] = ["access", "anonymous", "refresh", "API key"];

async fn fresh(app: &TestApp, round: usize) -> (Person, Kinds) {
    let person = app.sign_in(&format!("0912123{round:04}")).await;
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await.unwrap();
    let visitor = visitor.into_inner().access_token;
    let kinds = [person.access_token.clone(), visitor, person.refresh_token.clone(), app.api_key.clone()];
    (person, Kinds(kinds))
}

/// Where a token can be put, and for which of the four it works there.
const PLACES: [(&str, [bool; 4]); 14] = [
    ("Verify.token", [true, true, false, false]),
    ("Introspect.token", [true, true, false, false]),
    ("BatchIntrospect.tokens", [true, true, false, false]),
    ("Refresh.refresh_token", [false, false, true, false]),
    ("Logout.refresh_token", [false, false, true, false]),
    ("Revoke.token", [true, true, true, false]),
    ("bearer of Logout", [true, true, false, false]),
    ("bearer of LogoutAll", [true, false, false, false]),
    ("bearer of GetProfile", [true, false, false, false]),
    ("bearer of ListSessions", [true, false, false, false]),
    ("bearer of Introspect", [false, false, false, true]),
    ("bearer of Blacklist", [false, false, false, true]),
    ("bearer of ListCallers", [false, false, false, true]),
    ("x-api-key of Introspect", [false, false, false, true]),
];

async fn only_the_diagonal_passes(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut round = 0;
    for (place, expected) in PLACES {
        for kind in 0..4 {
            round += 1;
            let (person, tokens) = fresh(&app, round).await;
            let works = works(&app, place, &tokens.0[kind], &person).await;
            assert_eq!(works, expected[kind], "{} as {place}", NAMES[kind]);
        }
    }
    app.stop().await;
}

async fn works(app: &TestApp, place: &str, token: &str, person: &Person) -> bool {
    let (mut tokens, mut auth, mut accounts) = (app.node().tokens(), app.node().auth(), app.node().accounts());
    let token = token.to_owned();
    let introspect = v1::IntrospectRequest { token: person.access_token.clone(), ..Default::default() };
    match place {
        "Verify.token" => tokens.verify(v1::VerifyRequest { token }).await.unwrap().into_inner().valid,
        "Introspect.token" => app.is_active(&token).await,
        "BatchIntrospect.tokens" => {
            let request = v1::BatchIntrospectRequest { tokens: vec![token], ..Default::default() };
            let answer = tokens.batch_introspect(bearer(request, &app.api_key)).await.unwrap();
            answer.into_inner().results[0].active
        }
        "Refresh.refresh_token" => {
            tokens.refresh(v1::RefreshRequest { refresh_token: token, ..Default::default() }).await.is_ok()
        }
        "Logout.refresh_token" => auth.logout(v1::LogoutRequest { refresh_token: token }).await.is_ok(),
        "Revoke.token" => {
            // Anything is answered alike; whether it worked shows in what it was for.
            let request = v1::RevokeRequest { token: token.clone(), ..Default::default() };
            tokens.revoke(bearer(request, &app.api_key)).await.unwrap();
            let looked_at = if token.starts_with("ey") { token } else { person.access_token.clone() };
            !app.is_active(&looked_at).await
        }
        "bearer of Logout" => auth.logout(bearer(v1::LogoutRequest::default(), &token)).await.is_ok(),
        "bearer of LogoutAll" => auth.logout_all(bearer(v1::LogoutAllRequest::default(), &token)).await.is_ok(),
        "bearer of GetProfile" => accounts.get_profile(bearer(v1::GetProfileRequest {}, &token)).await.is_ok(),
        "bearer of ListSessions" => {
            accounts.list_sessions(bearer(v1::ListSessionsRequest::default(), &token)).await.is_ok()
        }
        "bearer of Introspect" => tokens.introspect(bearer(introspect, &token)).await.is_ok(),
        "bearer of Blacklist" => {
            let target = Some(v1::blacklist_request::Target::AccountId(person.account_id.clone()));
            tokens.blacklist(bearer(v1::BlacklistRequest { target, ..Default::default() }, &token)).await.is_ok()
        }
        "bearer of ListCallers" => {
            app.node().admin().list_callers(bearer(v1::ListCallersRequest::default(), &token)).await.is_ok()
        }
        "x-api-key of Introspect" => {
            let mut request = Request::new(introspect);
            request.metadata_mut().insert("x-api-key", token.parse().unwrap());
            tokens.introspect(request).await.is_ok()
        }
        other => panic!("nothing is known of {other}"),
    }
}
