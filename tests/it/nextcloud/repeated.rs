//! Events that come twice, answers that are lost, and calls that fail once: all lead to the same.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign::events::Batch;

use super::cloud::Mood;
use super::{Outside, delete, person, rename, rows, settled, try_verify, unblock, verified};
use crate::admin::block;
use crate::harness::database::execute;
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(
    every_event_again_changes_nothing,
    a_lost_answer_is_made_up_for,
    a_call_that_is_refused_is_made_again_and_one_that_never_succeeds_is_given_up,
    whoever_may_no_longer_relay_makes_no_further_call,
);

/// Puts all that has ever happened into the outbox again, in the order of its names: within a millisecond, in any order.
async fn again(app: &TestApp) {
    let all = "UPDATE events SET outbox_seq = (SELECT COUNT(*) FROM events AS others WHERE others.id <= events.id)";
    execute(&app.node().app().store, all, &[]).await;
    settled(app).await;
}

async fn every_event_again_changes_nothing(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[("nextcloud.groups", "people"), ("nextcloud.quota", "1 GB")]).await;
    let someone = person(&app, 1).await;
    let other = verified(&app, 2).await;
    settled(&app).await;
    let unchanged = async |step: &str| {
        settled(&app).await;
        let before = outside.cloud.users();
        outside.cloud.calls();
        for _ in 0..2 {
            again(&app).await;
            assert_eq!(outside.cloud.users(), before, "{step}");
        }
        // Only folders are asked for again: whether they are there, nobody else can tell.
        let changes = outside.cloud.changes();
        assert!(changes.iter().all(|line| line.starts_with("MKCOL")), "{step}: {changes:?}");
    };
    unchanged("signed in").await;
    try_verify(&app, &someone, 1).await.unwrap();
    unchanged("verified").await;
    rename(&app, &someone, "Maryam", "Mirzakhani").await;
    unchanged("renamed").await;
    block(&app, &someone.account_id, "abuse", None).await;
    unchanged("blocked").await;
    unblock(&app, &someone).await;
    unchanged("unblocked").await;
    block(&app, &other.account_id, "a pause", Some(60)).await;
    unchanged("paused").await;
    app.advance(61);
    rows(&app, "accounts WHERE state = 'blocked'", 0).await;
    unchanged("the pause is over").await;
    assert!(outside.user_of(&other).unwrap().enabled);
    delete(&app, &someone).await;
    unchanged("deleted").await;
    assert!(!outside.user_of(&someone).unwrap().enabled);
    app.stop().await;
}

async fn a_lost_answer_is_made_up_for(backend: Backend) {
    let outside = Outside::start().await;
    let settings = [("nextcloud.groups", "people"), ("nextcloud.on_deletion", "delete")];
    let app = outside.app(backend, &settings).await;
    let lose = |call: &str| outside.cloud.mood_for(call, 1, Some(Mood::Loses));
    lose("POST /ocs/v2.php/cloud/users");
    let someone = verified(&app, 1).await;
    settled(&app).await;
    let user = outside.user_of(&someone).unwrap();
    assert!(user.enabled && user.folders.contains("Documents") && user.groups.contains("people"));
    lose("/disable");
    block(&app, &someone.account_id, "abuse", None).await;
    settled(&app).await;
    assert!(!outside.user_of(&someone).unwrap().enabled);
    lose("/enable");
    unblock(&app, &someone).await;
    settled(&app).await;
    assert!(outside.user_of(&someone).unwrap().enabled);
    lose("DELETE");
    delete(&app, &someone).await;
    settled(&app).await;
    assert_eq!(outside.user_of(&someone), None);
    // Only the bare user comes into being, and its folder fails: the rest is made up for.
    outside.cloud.mood_for("MKCOL", 1, Some(Mood::Text(423, String::new())));
    let second = verified(&app, 2).await;
    rows(&app, "deliveries WHERE attempts = 1", 1).await;
    outside.cloud.change(&second.account_id, |user| user.groups.clear());
    app.advance(5);
    settled(&app).await;
    let user = outside.user_of(&second).unwrap();
    assert!(user.folders.contains("Documents") && user.groups.contains("people"));
    assert_eq!(app.rows("deliveries").await, 0);
    app.stop().await;
}

async fn a_call_that_is_refused_is_made_again_and_one_that_never_succeeds_is_given_up(backend: Backend) {
    let outside = Outside::start().await;
    // A group that is not there.
    let app = outside.app(backend, &[("nextcloud.groups", "nobody")]).await;
    let someone = verified(&app, 1).await;
    rows(&app, "deliveries WHERE attempts = 1 AND last_error LIKE '%nextcloud.groups (104)'", 1).await;
    // Others are served meanwhile.
    let other = person(&app, 2).await;
    block(&app, &other.account_id, "abuse", None).await;
    rows(&app, "deliveries", 1).await;
    // A minute apart at most: a block would wait as long behind it.
    for attempt in 2..12 {
        app.advance(60);
        rows(&app, &format!("deliveries WHERE attempts = {attempt}"), 1).await;
    }
    // About two days later.
    execute(&app.node().app().store, "UPDATE deliveries SET attempts = 3838", &[]).await;
    app.advance(60);
    rows(&app, "deliveries WHERE state = 'pending' AND attempts = 3839", 1).await;
    app.advance(60);
    rows(&app, "deliveries WHERE state = 'dead'", 1).await;
    assert_eq!(outside.user_of(&someone), None);
    // Limits on edits are no reason to keep others waiting, nor to give up.
    let app = {
        app.stop().await;
        outside.app(backend, &[]).await
    };
    let third = verified(&app, 3).await;
    settled(&app).await;
    outside.cloud.mood_for(&format!("PUT /ocs/v2.php/cloud/users/{}", third.account_id), 1, Some(Mood::Code(429, 429)));
    rename(&app, &third, "Maryam", "Mirzakhani").await;
    rows(&app, "deliveries WHERE attempts = 1 AND last_error LIKE '%(429)'", 1).await;
    app.advance(5);
    settled(&app).await;
    assert_eq!(outside.user_of(&third).unwrap().display_name, "Maryam Mirzakhani");
    app.stop().await;
}

/// Another node may have come further by then, and have shut the person out.
async fn whoever_may_no_longer_relay_makes_no_further_call(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[("events.poll_every", "never")]).await;
    let relay = &app.node().app().relay;
    let someone = verified(&app, 1).await;
    block(&app, &someone.account_id, "abuse", None).await;
    assert_eq!(relay.pass(|| true).await.unwrap().away, None);
    unblock(&app, &someone).await;
    relay.pass(|| true).await.unwrap();
    block(&app, &someone.account_id, "abuse", None).await;
    relay.pass(|| true).await.unwrap();
    assert!(!outside.user_of(&someone).unwrap().enabled);
    outside.cloud.calls();

    // The account is read as one that may be used; the right ends while the first call is on its way.
    unblock(&app, &someone).await;
    let slow = Duration::from_millis(900);
    outside.cloud.mood_for("GET", 1, Some(Mood::Slowly(slow)));
    let may_go_on = AtomicBool::new(true);
    let ending = async {
        outside.cloud.asked().await;
        may_go_on.store(false, Ordering::Relaxed);
    };
    let (batch, ()) = tokio::join!(relay.pass(|| may_go_on.load(Ordering::Relaxed)), ending);
    assert_eq!(batch.unwrap(), Batch::default());
    tokio::time::sleep(2 * slow).await;
    assert_eq!(outside.cloud.changes(), Vec::<String>::new());
    assert!(!outside.user_of(&someone).unwrap().enabled);
    // Whoever may do so brings it to its end.
    assert_eq!(relay.pass(|| true).await.unwrap().delivered, 1);
    assert!(outside.user_of(&someone).unwrap().enabled);
    app.stop().await;
}
