//! Cookies count for the pages of listed sites, and for what no page sends, in whichever way a request comes.

use std::net::SocketAddr;

use countersign::proto::v1;
use prost::Message;

use super::asked::{ask, question, verdict};
use super::envoy::Envoy;
use super::exchange::{Answer, call};
use super::web::{ON, SITE, framed, status, unframed, web};
use crate::harness::{Backend, Person, TestApp, login, on_both_backends};

on_both_backends!(
    no_label_makes_a_strangers_page_ones_own,
    a_stranger_neither_sets_nor_clears_cookies,
    cookies_come_through_the_translation,
    gateways_take_no_cookies_from_strangers,
    envoy_hands_the_origin_on,
);

const COOKIES: (&str, &str) = ("cookies.set_cookies", "true");
const STRANGERS: [&str; 3] = ["https://evil.example.com", "null", "https://app.example.com:8443"];
const LOGOUT_ALL: &str = "/countersign.v1.AuthService/LogoutAll";
const REFRESH: &str = "/countersign.v1.TokenService/Refresh";
const PROFILE: &str = "/countersign.v1.AccountService/GetProfile";

fn both(person: &Person) -> String {
    let Person { access_token, refresh_token, .. } = person;
    format!("__Host-countersign-access={access_token}; __Host-countersign-refresh={refresh_token}")
}

/// What a page can have a browser send without asking beforehand: over HTTP/2, with a harmless type.
async fn simple(to: SocketAddr, path: &str, origin: &str, cookies: &str, message: &impl Message) -> reqwest::Response {
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let request = client.post(format!("http://{to}{path}")).header("content-type", "text/plain");
    let request = request.header("origin", origin).header("cookie", cookies);
    request.body(framed(message)).send().await.unwrap()
}

/// The values of the cookies that an answer sets, in their order.
fn set(answer: &Answer) -> Vec<String> {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    let pairs = set.map(|(_, cookie)| cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned());
    pairs.collect()
}

async fn no_label_makes_a_strangers_page_ones_own(backend: Backend) {
    let listed = ("web.allowed_origins", SITE);
    for settings in [&[COOKIES, listed, ("web.grpc_web", "true")][..], &[COOKIES, listed]] {
        let app = TestApp::with(backend, settings).await;
        let person = app.sign_in("09121234567").await;
        for stranger in STRANGERS {
            let request = v1::LogoutAllRequest::default();
            let answer = simple(app.node().grpc, LOGOUT_ALL, stranger, &both(&person), &request).await;
            assert_eq!(answer.headers()["grpc-status"], "16", "{stranger}");
            let logout = "/countersign.v1.AuthService/Logout";
            let request = v1::LogoutRequest::default();
            let answer = simple(app.node().grpc, logout, stranger, &both(&person), &request).await;
            assert_eq!(answer.headers()["grpc-status"], "16", "{stranger}");
            assert!(app.is_active(&person.access_token).await, "{stranger}");
        }
        let request = v1::LogoutAllRequest::default();
        let answer = simple(app.node().grpc, LOGOUT_ALL, SITE, &both(&person), &request).await;
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        assert!(!app.is_active(&person.access_token).await);
        app.stop().await;
    }
}

async fn a_stranger_neither_sets_nor_clears_cookies(backend: Backend) {
    let app = TestApp::with(backend, &[COOKIES, ("web.allowed_origins", SITE)]).await;
    for (number, (origin, expected)) in [(STRANGERS[0], 0), (SITE, 2)].into_iter().enumerate() {
        // Somebody else's page could sign a person in as another,
        let challenge = app.challenge(&format!("0912123456{number}")).await;
        let code = app.code(&challenge.challenge_id).await;
        let request = login(&challenge.challenge_id, &code);
        let answer = simple(app.node().grpc, "/countersign.v1.AuthService/Login", origin, "a=b", &request).await;
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), expected, "{origin}");
        // or out.
        let request = v1::RefreshRequest { refresh_token: "csr_nothing".to_owned(), ..Default::default() };
        let answer = simple(app.node().grpc, REFRESH, origin, "a=b", &request).await;
        assert_eq!(answer.headers()["grpc-status"], "16");
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), expected, "{origin}");
    }
    app.stop().await;
}

async fn cookies_come_through_the_translation(backend: Backend) {
    let app = TestApp::with(backend, &[ON, &[COOKIES]].concat()).await;
    let at = app.node().grpc;
    let challenge = app.challenge("09121234567").await;
    let code = app.code(&challenge.challenge_id).await;
    let request = login(&challenge.challenge_id, &code);
    let answer = web(at, "/countersign.v1.AuthService/Login", &[("origin", SITE)], &request).await;
    let first = set(&answer);
    assert_eq!((status(&answer).as_str(), first.len()), ("0", 2));
    let cookies = format!("__Host-countersign-access={}; __Host-countersign-refresh={}", first[0], first[1]);
    let own = [("origin", SITE), ("cookie", cookies.as_str())];
    assert_eq!(status(&web(at, PROFILE, &own, &v1::GetProfileRequest {}).await), "0");
    // A stranger is not even translated for.
    for stranger in STRANGERS {
        let foreign = [("origin", stranger), ("cookie", cookies.as_str())];
        let answer = web(at, REFRESH, &foreign, &v1::RefreshRequest::default()).await;
        assert_eq!((answer.status, set(&answer).len()), (403, 0), "{stranger}");
    }
    let answer = web(at, REFRESH, &own, &v1::RefreshRequest::default()).await;
    let next = set(&answer);
    assert_eq!((status(&answer).as_str(), next.len()), ("0", 2));
    assert!(next[1].starts_with("csr_") && next[1] != first[1] && app.is_active(&next[0]).await);
    // A script in the page reads the answer.
    let (messages, _) = unframed(&answer.body);
    let tokens = v1::RefreshResponse::decode(messages[0].as_slice()).unwrap().tokens.unwrap();
    assert_eq!((tokens.access_token.as_str(), tokens.refresh_token.as_str()), ("", ""));
    assert!(tokens.expires_in > 0);
    app.stop().await;
}

async fn gateways_take_no_cookies_from_strangers(backend: Backend) {
    let app = TestApp::with(backend, &[COOKIES, ("web.allowed_origins", SITE)]).await;
    let person = app.sign_in("09121234567").await;
    let (cookies, bearer) = (both(&person), format!("Bearer {}", person.access_token));
    let cookie = ("cookie", cookies.as_str());
    let twice = [cookie, ("origin", SITE), ("origin", SITE)];
    let mut cases: Vec<(Vec<_>, u16)> = STRANGERS.map(|stranger| (vec![cookie, ("origin", stranger)], 401)).into();
    cases.extend([
        (vec![cookie], 200),
        (vec![cookie, ("origin", SITE)], 200),
        // What a page has to know is no cookie.
        (vec![cookie, ("origin", STRANGERS[0]), ("authorization", bearer.as_str())], 200),
    ]);
    for (headers, expected) in &cases {
        let answer = ask(&app, question(headers, &[])).await;
        assert_eq!(verdict(&answer).1, i32::from(*expected), "{headers:?}");
    }
    cases.push((twice.into(), 401));
    for (headers, expected) in cases {
        let asked = [&[("x-api-key", app.api_key.as_str())], headers.as_slice()].concat();
        // A GET too: that is how a page opens a WebSocket.
        for method in ["GET", "POST"] {
            let answer = call(app.node().http, method, "/auth/check", &asked, b"").await;
            assert_eq!(answer.status, expected, "{headers:?}");
        }
        let answer = call(app.node().http, "GET", "/auth/check?optional=true", &asked, b"").await;
        assert_eq!((answer.status, answer.header("x-auth-subject").is_some()), (200, expected == 200));
    }
    app.stop().await;
}

async fn envoy_hands_the_origin_on(backend: Backend) {
    let app = TestApp::with(backend, &[ON, &[COOKIES]].concat()).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    let cookies = both(&person);
    for (origin, code, http) in [(SITE, "0", 200), (STRANGERS[0], "16", 401)] {
        let headers = [("origin", origin), ("cookie", cookies.as_str())];
        let answer = web(envoy.judged, PROFILE, &headers, &v1::GetProfileRequest {}).await;
        assert_eq!(status(&answer), code, "{origin}");
        assert_eq!(call(envoy.judged, "GET", "/v1/account", &headers, b"").await.status, http);
        assert_eq!(call(envoy.judged, "POST", "/", &headers, b"").await.status, http);
    }
    app.stop().await;
}
