//! A provider that fails: no answer of it harms, nobody waits for longer than promised, and it is left alone for a while.

use futures_util::FutureExt;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use countersign::connect::Finding;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::registry::{Registry, Reply};
use super::{BORN, NATIONAL_ID, PHONE, clock, provider, unavailable, verify, zibal_at, zibal_within};

/// Well below the usual timeout of these tests, well above the short one.
const LONGEST: Duration = Duration::from_secs(10);
const SHORT: &str = "300ms";

#[tokio::test]
async fn no_answer_is_taken_for_a_match_that_does_not_say_so() {
    let registry = Registry::start().await;
    let text = |status: u16, text: &str| Reply::Text(status, text.to_owned());
    let matched = json!({ "result": 1, "data": { "matched": true } }).to_string();
    let replies = [
        text(200, ""),
        text(200, "null"),
        text(200, "[]"),
        text(200, "<!doctype html><title>Welcome to nginx!</title>"),
        text(200, &json!({ "result": 1 }).to_string()),
        text(200, &json!({ "result": 1, "data": [] }).to_string()),
        text(200, &json!({ "result": 1, "data": { "matched": 1 } }).to_string()),
        text(200, &json!({ "result": "1", "data": { "matched": true } }).to_string()),
        text(200, &json!({ "result": 100, "data": { "matched": true } }).to_string()),
        text(200, &json!({ "data": { "matched": true } }).to_string()),
        text(200, &format!("{matched}{matched}")),
        text(200, &"[".repeat(10_000)),
        text(400, &json!({ "result": 45 }).to_string()),
        text(500, &matched),
        text(502, "<html>Bad Gateway</html>"),
        text(404, "<html>Not Found</html>"),
        text(429, ""),
        Reply::Huge { is_announced: true },
        Reply::Huge { is_announced: false },
        Reply::Half,
    ];
    for reply in replies {
        let zibal = zibal_at(&clock(), &registry.url);
        registry.reply(Some(reply.clone()));
        let asked = Instant::now();
        let outcome = verify(&zibal, Some(PHONE), NATIONAL_ID, None).await;
        assert!(outcome.is_err(), "{reply:?}");
        unavailable(outcome);
        assert!(asked.elapsed() < LONGEST, "{reply:?} took {:?}", asked.elapsed());
        assert_eq!(registry.questions().len(), 1, "{reply:?} was asked for again");
    }
}

#[tokio::test]
async fn nobody_waits_for_longer_than_the_timeout() {
    let registry = Registry::start().await;
    for reply in [Reply::Silence, Reply::Trickle] {
        let zibal = zibal_within(&clock(), &registry.url, SHORT);
        registry.reply(Some(reply));
        let asked = Instant::now();
        unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await);
        assert!(asked.elapsed() < LONGEST, "{:?}", asked.elapsed());
        assert_eq!(registry.questions().len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (registry, elsewhere) = (Registry::start().await, Registry::start().await);
    let zibal = zibal_at(&clock(), &registry.url);
    registry.reply(Some(Reply::Redirect(format!("{}/v1/facility/shahkarInquiry", elsewhere.url))));
    unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, None).await);
    assert_eq!((registry.questions().len(), elsewhere.questions().len()), (1, 0));
}

#[tokio::test]
async fn where_nobody_listens_it_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let asked = Instant::now();
    unavailable(verify(&zibal_at(&clock(), &url), Some(PHONE), NATIONAL_ID, None).await);
    assert!(asked.elapsed() < LONGEST, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn what_may_have_arrived_is_not_asked_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let zibal = zibal_at(&clock(), &format!("http://{}", listener.local_addr().unwrap()));
    let connections = tokio::spawn(async move {
        let mut connections = 0;
        while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(800), listener.accept()).await {
            let (mut stream, _) = accepted.unwrap();
            connections += 1;
            // Takes the question in and hangs up.
            let mut question = [0; 4096];
            let _ = stream.read(&mut question).await;
        }
        connections
    });
    unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, None).await);
    assert_eq!(connections.await.unwrap(), 1);
}

#[tokio::test]
async fn after_some_failures_it_is_left_alone_until_one_question_succeeds() {
    let registry = Registry::start().await;
    let clock = clock();
    let zibal = zibal_at(&clock, &registry.url);
    let ask = || verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN));
    registry.reply(Some(Reply::Text(503, String::new())));
    assert_eq!([unavailable(ask().await), unavailable(ask().await), unavailable(ask().await)], [5, 5, 30]);
    assert_eq!(registry.questions().len(), 3);

    // It works again, but nobody asks.
    registry.reply(None);
    clock.advance(TimeDelta::seconds(29));
    assert_eq!(unavailable(ask().await), 1);
    assert_eq!(registry.questions().len(), 0);

    // It fails at the next try, and is left alone for as long again.
    registry.reply(Some(Reply::Text(503, String::new())));
    clock.advance(TimeDelta::seconds(1));
    assert_eq!([unavailable(ask().await), unavailable(ask().await)], [30, 30]);
    assert_eq!(registry.questions().len(), 1);

    registry.reply(None);
    clock.advance(TimeDelta::seconds(30));
    for _ in 0..3 {
        assert!(matches!(ask().await, Ok(Finding::Matched(_))));
    }
    assert_eq!(registry.questions().len(), 6);
}

#[tokio::test]
async fn one_question_at_a_time_tries_a_provider_that_was_away() {
    let registry = Registry::start().await;
    let clock = clock();
    let zibal = zibal_within(&clock, &registry.url, "2s");
    registry.reply(Some(Reply::Text(503, String::new())));
    for _ in 0..3 {
        unavailable(verify(&zibal, Some(PHONE), NATIONAL_ID, None).await);
    }
    registry.questions();
    clock.advance(TimeDelta::seconds(30));
    registry.reply(Some(Reply::Silence));
    let crowd = (0..20).map(|_| verify(&zibal, Some(PHONE), NATIONAL_ID, None));
    for outcome in futures_util::future::join_all(crowd).await {
        unavailable(outcome);
    }
    assert_eq!(registry.questions().len(), 1);
}

/// Otherwise whoever hangs up often enough could keep everybody else from being verified.
#[tokio::test]
async fn leaving_early_is_not_a_failure_of_the_provider() {
    let registry = Registry::start().await;
    let clock = clock();
    let zibal = provider(
        &clock,
        &[
            ("provider", "zibal"),
            ("zibal.url", &registry.url),
            ("zibal.token", super::registry::TOKEN),
            ("failures", "1"),
        ],
    );
    for _ in 0..5 {
        // Begun, and not waited for.
        assert!(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).now_or_never().is_none());
    }
    // Each is asked to its end.
    let mut asked = 0;
    for _ in 0..500 {
        asked += registry.questions().len();
        if asked == 10 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(asked, 10);
    assert!(matches!(verify(&zibal, Some(PHONE), NATIONAL_ID, Some(BORN)).await, Ok(Finding::Matched(_))));
}
