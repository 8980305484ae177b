//! Jobs that a cron outside asks for over HTTP.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{job, revoke};
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(
    with_its_key_a_cron_may_ask_for_jobs,
    without_a_key_there_is_no_such_endpoint,
    many_wrong_keys_do_not_keep_out_the_right_one,
);

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

async fn ask(app: &TestApp, method: Method, name: &str, credential: Option<&str>) -> (StatusCode, Value) {
    let url = format!("http://{}/jobs/{name}", app.node().http);
    let request = reqwest::Client::new().request(method, url);
    let request = match credential {
        Some(credential) => request.header("authorization", credential),
        None => request,
    };
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

async fn with_its_key_a_cron_may_ask_for_jobs(backend: Backend) {
    let app = TestApp::with(backend, &[("jobs.http_key", KEY)]).await;
    let bearer = format!("Bearer {KEY}");
    revoke(&app, 2).await;
    app.advance(7_200);
    let (status, told) = ask(&app, Method::POST, "purge", Some(&bearer)).await;
    assert_eq!(
        (status, told["job"].as_str(), told["outcome"].as_str()),
        (StatusCode::OK, Some("purge"), Some("succeeded"))
    );
    assert!(told["detail"].as_str().unwrap().contains("2 revocations"), "{told}");
    let run = job(&app, app.node(), "purge").await.last_run.unwrap();
    assert_eq!((run.actor.as_str(), Some(run.detail.as_str())), ("cron", told["detail"].as_str()));
    assert_eq!(app.rows("events WHERE kind = 'storage.purged' AND actor = 'cron' AND ip = '127.0.0.1'").await, 1);

    assert_eq!(ask(&app, Method::POST, "rotate-keys", Some(&bearer)).await.0, StatusCode::OK);
    assert_eq!(ask(&app, Method::POST, "nonsense", Some(&bearer)).await.0, StatusCode::NOT_FOUND);
    // It may do nothing else, and nothing else may do this.
    let wrong = [None, Some("Bearer wrong"), Some(KEY), Some("Basic wrong"), Some(&bearer[..bearer.len() - 1])];
    for credential in wrong {
        assert_eq!(ask(&app, Method::POST, "purge", credential).await.0, StatusCode::UNAUTHORIZED, "{credential:?}");
        // Which jobs there are is nobody else's business.
        assert_eq!(ask(&app, Method::POST, "x", credential).await.0, StatusCode::UNAUTHORIZED, "{credential:?}");
        app.advance(61);
    }
    let api_key = format!("Bearer {}", app.api_key);
    assert_eq!(ask(&app, Method::POST, "purge", Some(&api_key)).await.0, StatusCode::UNAUTHORIZED);
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
        let status = ask(&app, method.clone(), "purge", Some(&bearer)).await.0;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    app.stop().await;
}

async fn without_a_key_there_is_no_such_endpoint(backend: Backend) {
    let app = TestApp::new(backend).await;
    for credential in [None, Some("Bearer "), Some("Bearer x")] {
        let (status, body) = ask(&app, Method::POST, "purge", credential).await;
        assert_eq!((status, body), (StatusCode::NOT_FOUND, Value::Null));
    }
    assert_eq!(job(&app, app.node(), "purge").await.last_run, None);
    app.stop().await;
}

/// Behind one proxy all have one address.
async fn many_wrong_keys_do_not_keep_out_the_right_one(backend: Backend) {
    let app = TestApp::with(backend, &[("jobs.http_key", KEY)]).await;
    for _ in 0..10 {
        assert_eq!(ask(&app, Method::POST, "purge", Some("Bearer wrong")).await.0, StatusCode::UNAUTHORIZED);
    }
    let wrong = async || ask(&app, Method::POST, "purge", Some("Bearer wrong")).await.0;
    assert_eq!(wrong().await, StatusCode::TOO_MANY_REQUESTS);
    let bearer = format!("Bearer {KEY}");
    assert_eq!(ask(&app, Method::POST, "purge", Some(&bearer)).await.0, StatusCode::OK);
    assert_eq!(wrong().await, StatusCode::TOO_MANY_REQUESTS);
    app.advance(60);
    assert_eq!(wrong().await, StatusCode::UNAUTHORIZED);
    app.stop().await;
}
