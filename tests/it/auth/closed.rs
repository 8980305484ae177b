//! Where registration is closed, nobody can tell who is known.

use countersign::proto::v1;

use super::{ask, other_code};
use crate::harness::{Backend, TestApp, login, on_both_backends};

on_both_backends!(strangers_get_the_same_answer_and_no_message);

async fn strangers_get_the_same_answer_and_no_message(backend: Backend) {
    let mut app = TestApp::new(backend).await;
    let known = app.sign_in("09121234567").await;
    app.restart_with("accounts.open_registration", "false").await;
    let sent = app.messages_so_far();

    let mut answers: Vec<v1::OtpChallenge> = Vec::new();
    for phone in ["09121234568", "09121234567"] {
        answers.push(app.node().auth().request_otp(ask(phone)).await.unwrap().into_inner().challenge.unwrap());
    }
    let code = app.code(&answers[1].challenge_id).await;
    let shown = |challenge: &v1::OtpChallenge, last: &str| v1::OtpChallenge {
        challenge_id: String::new(),
        masked_destination: challenge.masked_destination.replace(last, ""),
        ..challenge.clone()
    };
    assert_eq!(shown(&answers[0], "68"), shown(&answers[1], "67"));

    let mut refusals = Vec::new();
    for challenge in &answers {
        let status = app.node().auth().login(login(&challenge.challenge_id, &other_code(&code, 1))).await.unwrap_err();
        refusals.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(refusals[0], refusals[1]);
    let entered = app.node().auth().login(login(&answers[1].challenge_id, &code)).await.unwrap().into_inner();
    assert!(!entered.created);
    assert_eq!(entered.account.unwrap().account_id, known.account_id);

    // The message to a second known person comes after whatever the first request had sent.
    app.advance(60);
    let last = app.challenge("09121234567").await;
    app.code(&last.challenge_id).await;
    assert!(app.codes_so_far(&answers[0].challenge_id).is_empty());
    assert_eq!(app.messages_so_far(), sent + 2);
    assert_eq!(app.rows("accounts").await, 1);
    app.stop().await;
}
