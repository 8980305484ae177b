//! A password that is changed while it is used (R8): after the acknowledgement nothing is usable that the old one opened.

use std::time::Duration;

use countersign::proto::v1;

use super::{OTHER, PASSWORD, UNLIMITED, is_usable, log_in, reason, somebody};
use crate::harness::{Backend, TestApp, bearer, figure, on_both_backends};

on_both_backends!(
    r8_a_changed_password_wins_over_sign_ins_and_refreshes,
    of_many_who_change_a_password_at_once_one_does,
);

async fn change(app: &TestApp, token: &str, current: &str, new: &str) -> Result<(), tonic::Status> {
    let request = v1::ChangePasswordRequest {
        current_password: current.to_owned(),
        new_password: new.to_owned(),
        keep_current_session: false,
    };
    app.node().auth().change_password(bearer(request, token)).await.map(drop)
}

async fn r8_a_changed_password_wins_over_sign_ins_and_refreshes(backend: Backend) {
    let app = TestApp::with(backend, &UNLIMITED).await;
    let races = figure(1_000, 24);
    let (mut opened, mut refreshed, mut usable) = (0, 0, 0);
    for race in 0..races {
        let phone = format!("0912{race:07}");
        let asker = somebody(&app, &phone, PASSWORD).await.tokens.unwrap();
        let second = log_in(&app, &phone, PASSWORD).await.unwrap().tokens.unwrap();
        let delay = Duration::from_millis(u64::try_from(race % 8).unwrap() * 8);
        let (entered, carried, ()) = tokio::join!(
            async {
                let mut entered = Vec::new();
                while let Ok(answer) = log_in(&app, &phone, PASSWORD).await {
                    entered.push(answer.tokens.unwrap());
                }
                entered
            },
            async {
                let mut carried = vec![second.clone()];
                loop {
                    let refresh_token = carried.last().unwrap().refresh_token.clone();
                    let request = v1::RefreshRequest { refresh_token, ..Default::default() };
                    match app.node().tokens().refresh(request).await {
                        Ok(answer) => carried.push(answer.into_inner().tokens.unwrap()),
                        Err(_) => break carried,
                    }
                }
            },
            async {
                tokio::time::sleep(delay).await;
                change(&app, &asker.access_token, PASSWORD, OTHER).await.unwrap();
                assert!(!app.is_active(&asker.access_token).await);
            },
        );
        opened += entered.len();
        refreshed += carried.len() - 1;
        for tokens in entered.iter().chain(&carried) {
            usable += usize::from(app.is_active(&tokens.access_token).await);
        }
        for tokens in entered.iter().chain(carried.last()) {
            usable += usize::from(is_usable(&app, tokens).await);
        }
    }
    eprintln!("R8: {races} races, {opened} sign-ins and {refreshed} refreshes in them, {usable} usable afterwards");
    assert_eq!(usable, 0);
    app.stop().await;
}

async fn of_many_who_change_a_password_at_once_one_does(backend: Backend) {
    let app = TestApp::with(backend, &UNLIMITED).await;
    let mut tokens = vec![somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap()];
    for _ in 0..7 {
        tokens.push(log_in(&app, "09121234567", PASSWORD).await.unwrap().tokens.unwrap());
    }
    let changes = tokens.iter().enumerate().map(|(number, tokens)| {
        let app = &app;
        async move { change(app, &tokens.access_token, PASSWORD, &format!("heron number {number} of them")).await }
    });
    let outcomes = futures_util::future::join_all(changes).await;
    let done: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).map(|(at, _)| at).collect();
    assert_eq!(done.len(), 1, "{outcomes:?}");
    log_in(&app, "09121234567", &format!("heron number {} of them", done[0])).await.unwrap();
    assert_eq!(reason(log_in(&app, "09121234567", PASSWORD).await), "INVALID_CREDENTIALS");
    for tokens in &tokens {
        assert!(!app.is_active(&tokens.access_token).await);
    }
    app.stop().await;
}
