//! What becomes of a person's user: from being verified to leaving.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign::proto::v1;

use super::cloud::Mood;
use super::{Outside, delete, person, rename, rows, settled, try_verify, unblock, verified};
use crate::admin::block;
use crate::harness::{Backend, TestApp, bearer, login, on_both_backends};

on_both_backends!(
    whoever_is_verified_gets_a_user_with_a_folder,
    names_follow_and_an_address_only_where_it_is_wanted,
    a_block_shuts_out_and_its_end_lets_in_again,
    a_sign_in_that_meets_the_end_of_a_block_tells_of_it,
    whoever_leaves_is_shut_out_deleted_or_kept,
    without_a_user_there_is_nothing_to_shut,
    what_an_administrator_there_decides_a_person_cannot_undo,
    a_password_of_ones_own_is_left_alone,
    a_second_factor_keeps_the_folder_back_and_nothing_else,
);

async fn whoever_is_verified_gets_a_user_with_a_folder(backend: Backend) {
    let outside = Outside::start().await;
    let settings = [
        ("nextcloud.groups", "people"),
        ("nextcloud.quota", "5 GB"),
        ("nextcloud.home_folder", "Documents/مدارک & 100%"),
        ("nextcloud.display_name", "verified"),
    ];
    let app = outside.app(backend, &settings).await;
    let someone = person(&app, 1).await;
    settled(&app).await;
    assert_eq!(outside.cloud.calls().len(), 0, "nobody has been verified");
    try_verify(&app, &someone, 1).await.unwrap();
    settled(&app).await;
    let user = outside.user_of(&someone).unwrap();
    assert!(user.enabled);
    assert_eq!((user.display_name.as_str(), user.email.as_str(), user.quota.as_str()), ("مریم میرزاخانی", "", "5 GB"));
    assert_eq!(user.groups, BTreeSet::from(["people".to_owned()]));
    assert_eq!(user.folders, ["Documents", "Documents/مدارک & 100%"].map(str::to_owned).into());
    assert_eq!(outside.cloud.users().len(), 1);
    let calls = outside.cloud.calls();
    let told: Vec<_> = calls.iter().map(|call| String::from_utf8_lossy(&call.body).into_owned()).collect();
    assert!(!told.iter().any(|body| body.contains("912") || body.contains("national")), "no number leaves: {told:?}");
    assert_eq!(app.rows("deliveries").await, 0);
    app.stop().await;
}

async fn names_follow_and_an_address_only_where_it_is_wanted(backend: Backend) {
    for sends_email in [false, true] {
        let outside = Outside::start().await;
        let app = outside.app(backend, &[("nextcloud.send_email", &sends_email.to_string())]).await;
        let someone = person(&app, 1).await;
        let long = "ا".repeat(60);
        rename(&app, &someone, " Maryam ", &long).await;
        try_verify(&app, &someone, 1).await.unwrap();
        settled(&app).await;
        let first = outside.user_of(&someone).unwrap().display_name;
        assert!(first.starts_with("Maryam ا") && first.chars().count() == 64, "{first}");
        rename(&app, &someone, "Maryam", "Mirzakhani").await;
        let change = v1::RequestOtpRequest {
            identifier: Some(crate::harness::mail_address("maryam@example.com")),
            purpose: v1::OtpPurpose::ChangeIdentifier.into(),
            ..Default::default()
        };
        let request = bearer(change, &someone.access_token);
        let challenge = app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap();
        let code = app.code(&challenge.challenge_id).await;
        let proof = v1::ChangeIdentifierRequest { challenge_id: challenge.challenge_id, code };
        app.node().accounts().change_identifier(bearer(proof, &someone.access_token)).await.unwrap();
        settled(&app).await;
        let user = outside.user_of(&someone).unwrap();
        assert_eq!(user.display_name, "Maryam Mirzakhani");
        assert_eq!(user.email, if sends_email { "maryam@example.com" } else { "" });
        app.stop().await;
    }
}

async fn a_block_shuts_out_and_its_end_lets_in_again(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    let someone = verified(&app, 1).await;
    settled(&app).await;
    block(&app, &someone.account_id, "abuse", None).await;
    settled(&app).await;
    assert!(!outside.user_of(&someone).unwrap().enabled);
    unblock(&app, &someone).await;
    settled(&app).await;
    assert!(outside.user_of(&someone).unwrap().enabled);
    block(&app, &someone.account_id, "a pause", Some(3_600)).await;
    settled(&app).await;
    assert!(!outside.user_of(&someone).unwrap().enabled);
    // Nobody does anything: the block's time is over.
    app.advance(3_599);
    app.node().app().store.lift_ended_blocks(10, &countersign::model::Cause::system(app.now())).await.unwrap();
    assert_eq!(app.rows("accounts WHERE state = 'blocked'").await, 1);
    app.advance(1);
    rows(&app, "accounts WHERE state = 'blocked'", 0).await;
    settled(&app).await;
    assert!(outside.user_of(&someone).unwrap().enabled);
    assert_eq!(app.rows("events WHERE kind = 'account.unblocked' AND actor = 'system'").await, 1);
    assert_eq!(app.rows("events WHERE kind = 'account.unblocked'").await, 2);
    app.stop().await;
}

async fn a_sign_in_that_meets_the_end_of_a_block_tells_of_it(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    let someone = verified(&app, 1).await;
    settled(&app).await;
    for round in 1..=3 {
        block(&app, &someone.account_id, "a pause", Some(200)).await;
        settled(&app).await;
        assert!(!outside.user_of(&someone).unwrap().enabled);
        app.advance(120);
        let challenge = app.challenge("09120000001").await;
        let code = app.code(&challenge.challenge_id).await;
        app.advance(80);
        app.node().auth().login(login(&challenge.challenge_id, &code)).await.unwrap();
        assert_eq!(app.rows("accounts WHERE state = 'blocked' OR block_reason <> ''").await, 0);
        assert_eq!(app.rows("events WHERE kind = 'account.unblocked' AND actor = 'system'").await, round);
        settled(&app).await;
        assert!(outside.user_of(&someone).unwrap().enabled);
    }
    app.stop().await;
}

async fn whoever_leaves_is_shut_out_deleted_or_kept(backend: Backend) {
    for on_deletion in ["disable", "delete", "keep"] {
        let outside = Outside::start().await;
        let app = outside.app(backend, &[("nextcloud.on_deletion", on_deletion)]).await;
        let (leaving, staying) = (verified(&app, 1).await, verified(&app, 2).await);
        settled(&app).await;
        delete(&app, &leaving).await;
        settled(&app).await;
        let left = outside.user_of(&leaving).map(|user| user.enabled);
        let expected = match on_deletion {
            "disable" => Some(false),
            "delete" => None,
            _ => Some(true),
        };
        assert_eq!(left, expected, "{on_deletion}");
        assert!(outside.user_of(&staying).unwrap().enabled);
        app.stop().await;
    }
}

async fn without_a_user_there_is_nothing_to_shut(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[("nextcloud.on_deletion", "delete")]).await;
    let stranger = person(&app, 1).await;
    block(&app, &stranger.account_id, "abuse", None).await;
    unblock(&app, &stranger).await;
    delete(&app, &stranger).await;
    settled(&app).await;
    // Verified and blocked while Nextcloud is away: they get a user when the block is over, and not before.
    outside.cloud.mood(Some(Mood::Text(503, String::new())));
    let someone = verified(&app, 2).await;
    block(&app, &someone.account_id, "abuse", None).await;
    app.collected().await;
    outside.cloud.mood(None);
    settled(&app).await;
    assert_eq!(outside.cloud.users().len(), 0);
    unblock(&app, &someone).await;
    settled(&app).await;
    let user = outside.user_of(&someone).unwrap();
    assert!(user.enabled && user.folders.contains("Documents"));
    assert_eq!(app.rows("deliveries").await, 0);
    app.stop().await;
}

async fn what_an_administrator_there_decides_a_person_cannot_undo(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    let someone = verified(&app, 1).await;
    settled(&app).await;
    outside.cloud.change(&someone.account_id, |user| user.enabled = false);
    try_verify(&app, &someone, 1).await.unwrap();
    rename(&app, &someone, "Another", "Name").await;
    settled(&app).await;
    let user = outside.user_of(&someone).unwrap();
    assert!(!user.enabled && user.display_name == "Another Name");
    // A user that was removed there comes back with a new confirmation, and not with any change.
    outside.cloud.remove(&someone.account_id);
    rename(&app, &someone, "Yet another", "Name").await;
    settled(&app).await;
    assert_eq!(outside.user_of(&someone), None);
    try_verify(&app, &someone, 1).await.unwrap();
    settled(&app).await;
    assert!(outside.user_of(&someone).unwrap().enabled);
    app.stop().await;
}

async fn a_password_of_ones_own_is_left_alone(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    let someone = verified(&app, 1).await;
    settled(&app).await;
    outside.cloud.change(&someone.account_id, |user| {
        "a password of my own".clone_into(&mut user.password);
        user.folders.clear();
    });
    outside.cloud.calls();
    try_verify(&app, &someone, 1).await.unwrap();
    settled(&app).await;
    let user = outside.user_of(&someone).unwrap();
    assert!(user.password == "a password of my own" && user.folders.is_empty());
    assert_eq!(outside.cloud.changes().len(), 1, "one try to make the folder");
    assert_eq!(app.rows("deliveries").await, 0);
    app.stop().await;
}

async fn a_second_factor_keeps_the_folder_back_and_nothing_else(backend: Backend) {
    let outside = Outside::start().await;
    let app = outside.app(backend, &[]).await;
    outside.cloud.mood_for("MKCOL", usize::MAX, Some(Mood::Text(401, String::new())));
    let someone = verified(&app, 1).await;
    rows(&app, "deliveries WHERE state = 'dead' AND last_error LIKE '%second factor%'", 1).await;
    block(&app, &someone.account_id, "abuse", None).await;
    settled(&app).await;
    assert!(!outside.user_of(&someone).unwrap().enabled, "what comes later is not held up");
    assert!(outside.user_of(&someone).unwrap().folders.is_empty());
    // Once that is mended, what was given up is tried again where an operator wants it.
    let other = verified(&app, 2).await;
    rows(&app, "deliveries WHERE state = 'dead'", 2).await;
    outside.cloud.mood(None);
    let request = v1::ReplayDeliveriesRequest { destination: "nextcloud".to_owned(), ..Default::default() };
    let replayed = app.node().admin().replay_deliveries(bearer(request, &app.api_key)).await.unwrap();
    assert_eq!(replayed.into_inner().replayed, 2);
    rows(&app, "deliveries", 0).await;
    assert!(outside.user_of(&other).unwrap().folders.contains("Documents"));
    assert!(!outside.user_of(&someone).unwrap().enabled);
    app.stop().await;
}

/// Nothing that is done for Nextcloud may keep a call waiting.
pub(super) async fn signs_in_at_once(app: &TestApp, n: usize) {
    let began = std::time::Instant::now();
    let someone = person(app, n).await;
    assert!(app.is_active(&someone.access_token).await);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
