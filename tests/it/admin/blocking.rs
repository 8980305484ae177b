//! Accounts that are shut: at once, everywhere, until the time is over, and against resistance (R8).

use std::time::Duration;

use countersign::proto::v1;
use futures_util::future::join_all;

use super::{block, by_operator, show, unblock};
use crate::harness::{Backend, TestApp, details, figure, has_services, login, on_both_backends};
use crate::session::{newcomer, reason, refresh, refused_after};

on_both_backends!(
    a_blocked_account_is_shut_at_once,
    a_block_ends_by_itself,
    a_block_is_lifted,
    a_second_block_takes_the_place_of_the_first,
    what_is_malformed_blocks_nobody,
    r8_a_block_wins_over_a_refresh,
    r8_a_block_wins_over_a_login,
);

const BLOCKED: i32 = v1::AccountState::Blocked as i32;
const ACTIVE: i32 = v1::AccountState::Active as i32;

/// How an attempt to sign in with a new code ends.
async fn signs_in(app: &TestApp, phone: &str) -> Result<v1::LoginResponse, tonic::Status> {
    app.advance(120);
    let challenge = app.challenge(phone).await;
    let code = app.code(&challenge.challenge_id).await;
    app.node().auth().login(login(&challenge.challenge_id, &code)).await.map(tonic::Response::into_inner)
}

async fn a_blocked_account_is_shut_at_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (first, other) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let second = app.sign_in("09121234567").await;
    let account = block(&app, &first.account_id, "abuse", None).await;
    assert_eq!((account.state, account.blocked_until), (BLOCKED, None));
    for device in [&first, &second] {
        assert!(!app.is_active(&device.access_token).await);
        assert_eq!(reason(refresh(&app, &device.refresh_token).await), "SESSION_ENDED");
    }
    assert_eq!(reason(signs_in(&app, "09121234567").await), "ACCOUNT_BLOCKED");
    assert_eq!(show(&app, &first.account_id).await.block_reason, "abuse");
    assert_eq!(app.rows("sessions WHERE end_reason = 'account_blocked'").await, 2);
    assert_eq!(app.rows("events WHERE kind = 'account.blocked' AND detail = 'abuse'").await, 1);
    refresh(&app, &other.refresh_token).await.unwrap();
    app.stop().await;
}

async fn a_block_ends_by_itself(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let account = block(&app, &person.account_id, "a pause", Some(3_600)).await;
    assert_eq!(account.blocked_until.unwrap().seconds, app.now().timestamp() + 3_600);
    app.advance(3_400);
    assert_eq!(reason(signs_in(&app, "09121234567").await), "ACCOUNT_BLOCKED");
    assert_eq!(show(&app, &person.account_id).await.account.unwrap().state, BLOCKED);
    app.advance(80);
    let shown = show(&app, &person.account_id).await;
    let account = shown.account.unwrap();
    assert_eq!((account.state, account.blocked_until, shown.block_reason.as_str()), (ACTIVE, None, ""));
    let again = signs_in(&app, "09121234567").await.unwrap();
    assert_eq!(again.account.unwrap().state, ACTIVE);
    assert_eq!(app.rows("accounts WHERE block_reason <> ''").await, 0);
    let tokens = again.tokens.unwrap();
    assert!(app.is_active(&tokens.access_token).await);
    refresh(&app, &tokens.refresh_token).await.unwrap();
    // What was ended stays so.
    assert_eq!(reason(refresh(&app, &person.refresh_token).await), "SESSION_ENDED");
    assert!(!app.is_active(&person.access_token).await);
    app.stop().await;
}

async fn a_block_is_lifted(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let before = show(&app, &person.account_id).await.account.unwrap();
    assert_eq!(unblock(&app, &person.account_id).await, before);
    block(&app, &person.account_id, "a mistake", None).await;
    assert_eq!(unblock(&app, &person.account_id).await, before);
    assert_eq!(show(&app, &person.account_id).await.block_reason, "");
    assert_eq!(app.rows("events WHERE kind = 'account.unblocked'").await, 1);
    // A token that is issued in the very moment of the block counts; those from before do not.
    let again = app.sign_in("09121234567").await;
    assert!(app.is_active(&again.access_token).await);
    assert!(!app.is_active(&person.access_token).await);
    app.stop().await;
}

async fn a_second_block_takes_the_place_of_the_first(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account_id = newcomer(&app).await.account_id;
    block(&app, &account_id, "first", Some(60)).await;
    let account = block(&app, &account_id, "second", None).await;
    assert_eq!(account.blocked_until, None);
    assert_eq!(show(&app, &account_id).await.block_reason, "second");
    app.advance(61);
    assert_eq!(show(&app, &account_id).await.account.unwrap().state, BLOCKED);
    block(&app, &account_id, "third", Some(60)).await;
    app.advance(60);
    assert_eq!(show(&app, &account_id).await.account.unwrap().state, ACTIVE);
    app.stop().await;
}

async fn what_is_malformed_blocks_nobody(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account_id = newcomer(&app).await.account_id;
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let good = v1::BlockAccountRequest { account_id: account_id.clone(), ..Default::default() };
    for (request, field) in [
        (v1::BlockAccountRequest { account_id: "x".to_owned(), ..good.clone() }, "account_id"),
        (v1::BlockAccountRequest { reason: "x".repeat(257), ..good.clone() }, "reason"),
        (v1::BlockAccountRequest { until: at(app.now().timestamp()), ..good.clone() }, "until"),
        (v1::BlockAccountRequest { until: at(i64::MAX), ..good.clone() }, "until"),
        (v1::BlockAccountRequest { until: at(253_402_300_800), ..good.clone() }, "until"),
    ] {
        let refused = app.node().admin().block_account(by_operator(&app, request)).await.unwrap_err();
        assert_eq!(details(&refused).fields, [field]);
    }
    assert_eq!(show(&app, &account_id).await.account.unwrap().state, ACTIVE);
    app.stop().await;
}

async fn r8_a_block_wins_over_a_refresh(backend: Backend) {
    let app = TestApp::new(backend).await;
    let races = figure(1_000, 60);
    let (mut refreshed, mut usable) = (0, 0);
    for race in 0..races {
        let person = newcomer(&app).await;
        let delay = Duration::from_millis(u64::try_from(race % 8).unwrap());
        let refreshing = async {
            let mut all = vec![(person.access_token.clone(), person.refresh_token.clone())];
            while let Ok(tokens) = refresh(&app, &all[all.len() - 1].1).await {
                all.push((tokens.access_token, tokens.refresh_token));
            }
            all
        };
        let blocking = async {
            tokio::time::sleep(delay).await;
            block(&app, &person.account_id, "", None).await;
            assert!(!app.is_active(&person.access_token).await);
        };
        let (all, ()) = tokio::join!(refreshing, blocking);
        refreshed += all.len() - 1;
        for (access, token) in &all {
            usable += usize::from(app.is_active(access).await) + usize::from(refresh(&app, token).await.is_ok());
        }
    }
    eprintln!("R8: {races} blocks against {refreshed} refreshes, {usable} tokens usable afterwards");
    assert_eq!(usable, 0);
    app.stop().await;
}

async fn r8_a_block_wins_over_a_login(backend: Backend) {
    let app = TestApp::with(
        backend,
        &[
            ("limits.codes_per_network.count", "1000000"),
            ("limits.codes_per_prefix.count", "1000000"),
            ("limits.codes_in_all.count", "1000000"),
        ],
    )
    .await;
    let races = figure(1_000, 60);
    let (mut signed_in, mut refused, mut usable) = (0, 0, 0);
    for race in 0..races {
        let phone = format!("0935{race:07}");
        let account_id = app.sign_in(&phone).await.account_id;
        app.advance(120);
        let challenge = app.challenge(&phone).await;
        let code = app.code(&challenge.challenge_id).await;
        // Either begins first by turns, by more or less.
        let ahead = Duration::from_millis(u64::try_from(race / 2 % 4).unwrap());
        let (before_login, before_block) =
            if race % 2 == 0 { (Duration::ZERO, ahead) } else { (ahead, Duration::ZERO) };
        let mut auth = app.node().auth();
        let signing_in = async {
            tokio::time::sleep(before_login).await;
            auth.login(login(&challenge.challenge_id, &code)).await
        };
        let blocking = async {
            tokio::time::sleep(before_block).await;
            block(&app, &account_id, "", None).await;
        };
        let (outcome, ()) = tokio::join!(signing_in, blocking);
        match outcome {
            Ok(answer) => {
                signed_in += 1;
                let tokens = answer.into_inner().tokens.unwrap();
                usable += usize::from(app.is_active(&tokens.access_token).await);
                usable += usize::from(refresh(&app, &tokens.refresh_token).await.is_ok());
            }
            Err(status) => {
                refused += 1;
                assert_eq!(details(&status).reason, "ACCOUNT_BLOCKED");
            }
        }
    }
    eprintln!(
        "R8: {races} blocks against logins ({signed_in} before, {refused} after), {usable} tokens usable afterwards"
    );
    assert_eq!(usable, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_counts_here_at_once_and_elsewhere_soon() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 3, &[]).await;
    let count = figure(500, 50);
    let mut took = Vec::new();
    for _ in 0..count {
        let person = newcomer(&app).await;
        block(&app, &person.account_id, "", None).await;
        let (here, second, third) = tokio::join!(
            app.is_active_on(0, &person.access_token),
            refused_after(&app, 1, &person.access_token),
            refused_after(&app, 2, &person.access_token),
        );
        assert!(!here);
        took.extend([second, third]);
        // Nor does any node carry the session on, from the acknowledgement on.
        let refused = join_all(app.nodes.iter().map(|node| {
            let request = v1::RefreshRequest { refresh_token: person.refresh_token.clone(), ..Default::default() };
            let mut tokens = node.tokens();
            async move { tokens.refresh(request).await }
        }));
        for outcome in refused.await {
            assert_eq!(reason(outcome), "SESSION_ENDED");
        }
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    eprintln!("{count} blocks, elsewhere after p50 {:?}, p99 {:?}, max {:?}", at(50), at(99), at(100));
    assert!(at(100) < Duration::from_secs(5));
    app.stop().await;
}
