//! Codes that leave by a webhook: signed, once, and never at the expense of whoever asked.

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::http::StatusCode;
use countersign::proto::v1;

use super::mailbox::Mailbox;
use super::{ask, enter, resend};
use crate::harness::{Backend, TestApp, details, on_both_backends, request_id};

on_both_backends!(
    a_message_says_what_is_needed_and_is_signed,
    a_receiver_that_fails_gets_each_message_once,
    a_receiver_that_hangs_keeps_nobody_waiting_until_the_queue_is_full,
);

const SECRET: &str = "a secret that both sides know";

async fn sending_to(backend: Backend, mailbox: &Mailbox, settings: &[(&str, &str)]) -> TestApp {
    let own = [
        ("notify.sms", "webhook"),
        ("notify.email", "webhook"),
        ("notify.webhook.url", mailbox.url.as_str()),
        ("notify.webhook.secret", SECRET),
    ];
    TestApp::with(backend, &[&own, settings].concat()).await
}

async fn a_message_says_what_is_needed_and_is_signed(backend: Backend) {
    let mailbox = Mailbox::answering(StatusCode::NO_CONTENT).await;
    let app = sending_to(backend, &mailbox, &[]).await;
    let challenge = app.challenge("0912 123 4567").await;
    let first = mailbox.deliveries(1).await.remove(0);
    let body = first.json();
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["channel", "code", "expires_at", "kind", "locale", "message_id", "purpose", "to"]);
    assert_eq!(
        (&body["channel"], &body["to"], &body["purpose"]),
        (&"sms".into(), &"+989121234567".into(), &"sign_in".into())
    );
    assert_eq!((&body["kind"], &body["locale"]), (&"code".into(), &"en".into()));
    let expires_at = chrono::DateTime::parse_from_rfc3339(body["expires_at"].as_str().unwrap()).unwrap();
    assert_eq!(expires_at.timestamp(), challenge.expires_at.unwrap().seconds);

    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("idempotency-key"), body["message_id"].as_str().unwrap());
    let signature = first.header("x-countersign-signature").strip_prefix("sha256=").unwrap();
    let signature: Vec<u8> =
        (0..signature.len()).step_by(2).map(|at| u8::from_str_radix(&signature[at..at + 2], 16).unwrap()).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, &first.body, &signature).expect("the secret's signature over the bytes of the body");

    app.advance(60);
    resend(&app, &challenge.challenge_id).await.unwrap();
    let second = mailbox.deliveries(2).await.remove(1).json();
    assert_ne!(second["message_id"], body["message_id"]);
    enter(&app, &challenge.challenge_id, second["code"].as_str().unwrap()).await.unwrap();
    app.stop().await;
}

async fn a_receiver_that_fails_gets_each_message_once(backend: Backend) {
    let mailbox = Mailbox::answering(StatusCode::INTERNAL_SERVER_ERROR).await;
    // One sender, so that a message has had its last try when the next one arrives.
    let app = sending_to(backend, &mailbox, &[("notify.senders", "1")]).await;
    for phone in ["09121234567", "09121234568", "09121234569"] {
        let named = v1::RequestOtpRequest { request_id: request_id(), ..ask(phone) };
        for _ in 0..3 {
            app.node().auth().request_otp(named.clone()).await.unwrap();
        }
    }
    let received = mailbox.deliveries(3).await;
    let mut messages: Vec<_> = received.iter().map(|delivery| delivery.json()["message_id"].to_string()).collect();
    messages.dedup();
    assert_eq!((received.len(), messages.len()), (3, 3));
    app.stop().await;
}

async fn a_receiver_that_hangs_keeps_nobody_waiting_until_the_queue_is_full(backend: Backend) {
    let mailbox = Mailbox::silent().await;
    let small = [("notify.queue", "1"), ("notify.senders", "1"), ("notify.webhook.timeout", "1m")];
    let app = sending_to(backend, &mailbox, &small).await;
    // One is on its way, one waits for the sender, one is in the queue.
    let mut admitted = 0;
    let full = loop {
        let named = v1::RequestOtpRequest { request_id: request_id(), ..ask(&format!("0912123456{admitted}")) };
        let asked = Instant::now();
        let answers =
            [app.node().auth().request_otp(named.clone()).await, app.node().auth().request_otp(named.clone()).await];
        assert!(asked.elapsed() < Duration::from_secs(1), "two answers took {:?}", asked.elapsed());
        match answers {
            [Ok(first), Ok(second)] => assert_eq!(first.into_inner(), second.into_inner()),
            [Err(refused), _] => break (named, refused),
            [Ok(_), Err(refused)] => panic!("{refused}"),
        }
        admitted += 1;
        if admitted == 1 {
            mailbox.deliveries(1).await;
        }
        assert!(admitted < 4, "more messages wait than may");
    };
    let (named, refused) = full;
    let refused = details(&refused);
    assert_eq!((refused.reason.as_str(), refused.retry_seconds), ("OVERLOADED", Some(1)));

    // Once the receiver answers, the same intent gets through, and no message is lost or comes twice.
    mailbox.let_go();
    mailbox.deliveries(admitted).await;
    let challenge = app.node().auth().request_otp(named).await.unwrap().into_inner().challenge.unwrap();
    let received = mailbox.deliveries(admitted + 1).await;
    assert_eq!(received.len(), admitted + 1);
    let mut messages: Vec<_> = received.iter().map(|delivery| delivery.header("idempotency-key")).collect();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), admitted + 1);
    enter(&app, &challenge.challenge_id, received[admitted].json()["code"].as_str().unwrap()).await.unwrap();
    app.stop().await;
}
