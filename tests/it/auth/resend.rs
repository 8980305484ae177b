//! Another code for the same challenge: not too soon, not too often, and no fresh start for whoever guesses.

use countersign::proto::v1;
use futures_util::future::join_all;

use super::{enter, entry_refused, other_code, resend, seconds};
use crate::harness::{Backend, TestApp, details, on_both_backends, request_id};

on_both_backends!(
    another_code_is_sent_after_the_cool_down_and_replaces_the_first,
    no_more_codes_are_sent_than_a_challenge_may_have,
    guesses_are_counted_across_resends,
    there_is_nothing_to_send_again_for_what_is_unknown_used_or_expired,
    a_repeated_resend_sends_nothing_more,
    of_many_resends_at_once_one_sends,
);

async fn another_code_is_sent_after_the_cool_down_and_replaces_the_first(backend: Backend) {
    let app = TestApp::new(backend).await;
    let challenge = app.challenge("09121234567").await;
    let id = &challenge.challenge_id;
    let first = app.code(id).await;
    for (step, left) in [(0, 60), (59, 1)] {
        app.advance(step);
        let refused = details(&resend(&app, id).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.retry_seconds), ("RESEND_TOO_SOON", Some(left)));
    }
    app.advance(1);
    let again = resend(&app, id).await.unwrap();
    let now = app.now().timestamp();
    assert_eq!(&again.challenge_id, id);
    assert_eq!((seconds(again.expires_at), seconds(again.resend_at)), (now + 120, now + 60));
    let sent = app.codes_sent(id, 2).await;
    // One time in a million the two are the same, and prove nothing.
    if sent[1] != first {
        assert_eq!(entry_refused(&app, id, &first).await, "INVALID_CREDENTIALS");
    }
    app.advance(119);
    enter(&app, id, &sent[1]).await.unwrap();
    app.stop().await;
}

async fn no_more_codes_are_sent_than_a_challenge_may_have(backend: Backend) {
    let app = TestApp::new(backend).await;
    let id = app.challenge("09121234567").await.challenge_id;
    for sent in 1..=2 {
        // What is still on its way when its code expires is not sent.
        app.codes_sent(&id, sent).await;
        app.advance(60);
        resend(&app, &id).await.unwrap();
    }
    app.codes_sent(&id, 3).await;
    app.advance(60);
    let refused = details(&resend(&app, &id).await.unwrap_err());
    assert_eq!((refused.reason.as_str(), refused.retry_seconds), ("RATE_LIMITED", Some(60)));
    let sent = app.codes_sent(&id, 3).await;
    assert_eq!(sent.len(), 3);
    enter(&app, &id, &sent[2]).await.unwrap();
    app.stop().await;
}

async fn guesses_are_counted_across_resends(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.failed_codes.count", "100")]).await;
    // Four wrong guesses leave one, five none, however the guesses lie between the messages.
    for (before, after, succeeds) in [(4, 0, true), (3, 1, true), (5, 0, false), (4, 1, false), (2, 3, false)] {
        let id = app.challenge(&format!("0912123456{before}")).await.challenge_id;
        let first = app.code(&id).await;
        for step in 1..=before {
            entry_refused(&app, &id, &other_code(&first, step)).await;
        }
        app.advance(60);
        resend(&app, &id).await.unwrap();
        let second = app.codes_sent(&id, 2).await.pop().unwrap();
        for step in 1..=after {
            entry_refused(&app, &id, &other_code(&second, step)).await;
        }
        let entered = enter(&app, &id, &second).await;
        assert_eq!(entered.is_ok(), succeeds, "{before} before, {after} after: {entered:?}");
    }
    app.stop().await;
}

async fn there_is_nothing_to_send_again_for_what_is_unknown_used_or_expired(backend: Backend) {
    let app = TestApp::new(backend).await;
    let used = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&used).await;
    enter(&app, &used, &code).await.unwrap();
    let expired = app.challenge("09121234568").await.challenge_id;
    app.code(&expired).await;
    app.advance(120);
    for id in [used, expired, request_id()] {
        assert_eq!(details(&resend(&app, &id).await.unwrap_err()).reason, "CHALLENGE_NOT_FOUND");
    }
    assert_eq!(app.messages_so_far(), 2);
    app.stop().await;
}

async fn a_repeated_resend_sends_nothing_more(backend: Backend) {
    let app = TestApp::with(backend, &[("otp.messages", "4")]).await;
    let id = app.challenge("09121234567").await.challenge_id;
    let intents = [request_id(), request_id()];
    let named = |intent: &str| v1::ResendOtpRequest {
        challenge_id: id.clone(),
        request_id: intent.to_owned(),
        ..Default::default()
    };
    for (sent, intent) in (1..).zip(&intents) {
        // What is still on its way when its code expires is not sent.
        app.codes_sent(&id, sent).await;
        app.advance(60);
        let first = app.node().auth().resend_otp(named(intent)).await.unwrap().into_inner();
        let again = app.node().auth().resend_otp(named(intent)).await.unwrap().into_inner();
        assert_eq!(first, again);
    }
    assert_eq!(app.codes_sent(&id, 3).await.len(), 3);
    // The retry of the first comes late, when another could be sent.
    app.advance(60);
    app.node().auth().resend_otp(named(&intents[0])).await.unwrap();
    resend(&app, &id).await.unwrap();
    assert_eq!(app.codes_sent(&id, 4).await.len(), 4);
    app.stop().await;
}

async fn of_many_resends_at_once_one_sends(backend: Backend) {
    let app = TestApp::new(backend).await;
    let id = app.challenge("09121234567").await.challenge_id;
    app.advance(60);
    let (mut sent, mut refused) = (0, 0);
    for answer in join_all((0..8).map(|_| resend(&app, &id))).await {
        match answer {
            Ok(_) => sent += 1,
            Err(status) => {
                assert_eq!(details(&status).reason, "RESEND_TOO_SOON");
                refused += 1;
            }
        }
    }
    assert_eq!((sent, refused), (1, 7));
    assert_eq!(app.codes_sent(&id, 2).await.len(), 2);
    app.stop().await;
}
