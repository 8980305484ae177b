//! V8: what clients say of who they are does not reach the application, however they spell it.

use super::envoy::{Envoy, SETTINGS};
use super::exchange::{Answer, request, send};
use super::nginx::Nginx;
use super::upstream::{Upstream, values};
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(v8_through_envoy, v8_through_nginx);

const NAMES: [&str; 5] = ["x-auth-subject", "x-auth-session", "x-auth-roles", "x-auth-scopes", "x-auth-anonymous"];

/// Forty spellings of each name, with values that would be worth something.
fn variants() -> Vec<Vec<(String, String)>> {
    let mut variants = Vec::new();
    for name in NAMES {
        let upper = name.to_ascii_uppercase();
        let words = name.split('-').map(|word| word[..1].to_ascii_uppercase() + &word[1..]);
        let title = words.collect::<Vec<_>>().join("-");
        let spellings = [
            name.to_owned(),
            upper.clone(),
            title,
            name.replace('-', "_"),
            upper.replace('-', "_"),
            name.replacen('-', "_", 1),
            name.replace("auth-", "auth_"),
            name.replace('-', "."),
        ];
        for spelling in spellings {
            for values in [&["admin"][..], &["a", "b"], &["admin, support"], &[""], &["true", "false"]] {
                variants.push(values.iter().map(|value| (spelling.clone(), (*value).to_owned())).collect());
            }
        }
    }
    assert_eq!(variants.len(), 200);
    variants
}

/// The values under our names that reached the application, or none where the gateway refused the request itself.
fn arrived(answer: &Answer) -> Option<[Vec<String>; 5]> {
    if answer.status == 400 {
        return None;
    }
    Some(NAMES.map(|name| values(answer, name)))
}

/// Sends all variants without a token and with one; how many of them said anything to the application.
async fn believed(gateway: std::net::SocketAddr, application: &Upstream, token: &str, public: bool) -> (usize, usize) {
    let bearer = format!("Bearer {token}");
    let honest = send(gateway, &request("GET", "/me", &[("authorization", &bearer)], b"")).await.unwrap();
    let honest = arrived(&honest).unwrap();
    let (mut believed, mut refused) = (0, 0);
    for variant in variants() {
        let mut headers: Vec<_> = variant.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        if public {
            let answer = send(gateway, &request("GET", "/public/1", &headers, b"")).await.unwrap();
            refused += usize::from(answer.status == 400);
            believed +=
                usize::from(arrived(&answer).is_some_and(|values| values.iter().any(|value| !value.is_empty())));
        }
        headers.push(("authorization", &bearer));
        let answer = send(gateway, &request("GET", "/me", &headers, b"")).await.unwrap();
        believed += usize::from(arrived(&answer).is_some_and(|values| values != honest));
    }
    assert!(application.reached() > 100);
    (believed, refused)
}

async fn v8_through_envoy(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(envoy) = Envoy::before(&app).await else { return };
    let person = app.sign_in("09121234567").await;
    let (believed_of_all, refused) = believed(envoy.judged, &envoy.application, &person.access_token, true).await;
    eprintln!(
        "V8: 400 spoofed requests of 200 variants through Envoy, {believed_of_all} believed ({refused} variants refused by Envoy itself)"
    );
    assert_eq!(believed_of_all, 0);
    // The same where Envoy lets underscores through: then our own word has to keep them away.
    let lenient =
        [("headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW".to_owned())];
    let envoy = Envoy::start(app.node().grpc, app.node().http, &app.api_key, &lenient).await.unwrap();
    let (believed_of_all, refused) = believed(envoy.judged, &envoy.application, &person.access_token, true).await;
    eprintln!("V8: the same with underscores allowed, {believed_of_all} believed ({refused} refused by Envoy)");
    assert_eq!((believed_of_all, refused), (0, 0));
    app.stop().await;
}

async fn v8_through_nginx(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let Some(nginx) = Nginx::before(app.node().http, &app.api_key).await else { return };
    let person = app.sign_in("09121234567").await;
    let (believed_of_all, _) = believed(nginx.address, &nginx.application, &person.access_token, true).await;
    eprintln!("V8: 400 spoofed requests of 200 variants through nginx, {believed_of_all} believed");
    assert_eq!(believed_of_all, 0);
    app.stop().await;
}
