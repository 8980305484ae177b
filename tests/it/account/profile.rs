//! Names, language and metadata.

use countersign::proto::v1;
use tonic::Code;

use super::{metadata, profile, reason, text, update};
use crate::harness::{Backend, TestApp, details, on_both_backends};

on_both_backends!(
    people_change_what_is_theirs_and_only_what_the_mask_names,
    nobody_grants_themself_anything,
    what_is_malformed_changes_nothing,
    a_blocked_or_deleted_account_is_not_changed,
    sign_ins_are_noted,
);

async fn people_change_what_is_theirs_and_only_what_the_mask_names(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let before = profile(&app, &person).await;
    let wished = v1::Account {
        first_name: " مریم ".to_owned(),
        last_name: "میرزا\u{200c}خانی".to_owned(),
        locale: "fa-IR".to_owned(),
        metadata: metadata(&[("theme", text("dark"))]),
        ..Default::default()
    };
    let after = update(&app, &person, wished.clone(), &["first_name", "metadata"]).await.unwrap();
    let expected =
        v1::Account { first_name: "مریم".to_owned(), metadata: wished.metadata.clone(), ..before.clone() };
    assert_eq!(after, expected);
    let after = update(&app, &person, wished, &["last_name", "locale"]).await.unwrap();
    assert_eq!((after.last_name.as_str(), after.locale.as_str()), ("میرزا\u{200c}خانی", "fa"));
    assert_eq!(profile(&app, &person).await, after);
    // Named and empty is taken away.
    let after = update(&app, &person, v1::Account::default(), &["first_name", "last_name", "locale", "metadata"]).await;
    assert_eq!(after.unwrap(), before);
    let told = "events WHERE kind = 'account.updated' AND actor LIKE 'account:%' AND detail";
    assert_eq!(app.rows(&format!("{told} LIKE '%metadata%'")).await, 2);
    assert_eq!(app.rows(&format!("{told} LIKE '%dark%'")).await, 0);
    app.stop().await;
}

/// Threat O12: every field of an account that the service sets by itself, through the one call that changes accounts.
async fn nobody_grants_themself_anything(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let other = app.sign_in("09120000002").await;
    let before = profile(&app, &person).await;
    let granted = v1::Account {
        account_id: other.account_id.clone(),
        phone: "+989120000009".to_owned(),
        phone_verified: true,
        email: "boss@example.com".to_owned(),
        email_verified: true,
        roles: vec!["admin".to_owned()],
        state: v1::AccountState::Deleted.into(),
        created_at: Some(prost_types::Timestamp::default()),
        last_login_at: Some(prost_types::Timestamp::default()),
        blocked_until: Some(prost_types::Timestamp::default()),
        identity: Some(v1::Identity { full_name: "Somebody".to_owned(), alive: Some(true), ..Default::default() }),
        has_password: true,
        ..before.clone()
    };
    for path in [
        "account_id",
        "phone",
        "phone_verified",
        "email",
        "email_verified",
        "roles",
        "state",
        "created_at",
        "last_login_at",
        "blocked_until",
        "identity",
        "identity.full_name",
        "has_password",
        "password_hash",
        "claimed_phone",
        "metadata.theme",
        "account.first_name",
        "*",
        "",
        "first_name,roles",
        "First_Name",
    ] {
        let refused = details(&update(&app, &person, granted.clone(), &["first_name", path]).await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"), "{path}");
        assert_eq!(refused.fields, ["update_mask"], "{path}");
    }
    assert_eq!(profile(&app, &person).await, before);
    // With a mask that is allowed, all the rest is not looked at.
    assert_eq!(update(&app, &person, granted, &["first_name", "metadata"]).await.unwrap(), before);
    assert_eq!(profile(&app, &other).await.account_id, other.account_id);
    assert_eq!(app.rows("accounts WHERE roles <> '' OR state <> 'active' OR email IS NOT NULL").await, 0);
    app.stop().await;
}

async fn what_is_malformed_changes_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let before = profile(&app, &person).await;
    let bad = v1::Account {
        first_name: "a\nb".to_owned(),
        last_name: "x".repeat(129),
        locale: "tlh".to_owned(),
        metadata: metadata(&[("a", text(&"x".repeat(4096)))]),
        ..Default::default()
    };
    let all = ["first_name", "last_name", "locale", "metadata"];
    let refused = details(&update(&app, &person, bad, &all).await.unwrap_err());
    assert_eq!(refused.fields, ["account.first_name", "account.last_name", "account.locale", "account.metadata"]);
    let refused = details(&update(&app, &person, v1::Account::default(), &[]).await.unwrap_err());
    assert_eq!(refused.fields, ["update_mask"]);
    assert_eq!(profile(&app, &person).await, before);
    app.stop().await;
}

async fn a_blocked_or_deleted_account_is_not_changed(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let named = v1::Account { first_name: "Ali".to_owned(), ..Default::default() };
    // Behind the service's back, so that the access token still counts.
    for state in ["blocked", "deleted"] {
        let statement = format!("UPDATE accounts SET state = '{state}'");
        crate::harness::database::execute(&app.node().app().store, &statement, &[]).await;
        assert_eq!(reason(update(&app, &person, named.clone(), &["first_name"]).await), "ACCOUNT_NOT_FOUND");
    }
    assert_eq!(app.rows("accounts WHERE first_name <> ''").await, 0);
    app.stop().await;
}

async fn sign_ins_are_noted(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let first = app.now().timestamp();
    app.advance(200);
    let again = app.sign_in("09120000001").await;
    let noted = |account: v1::Account| account.last_login_at.unwrap().seconds;
    assert_eq!(noted(profile(&app, &again).await), app.now().timestamp());
    // A refresh is no sign-in.
    app.advance(10);
    let request = v1::RefreshRequest { refresh_token: person.refresh_token.clone(), ..Default::default() };
    app.node().tokens().refresh(request).await.unwrap();
    assert_eq!(noted(profile(&app, &again).await), first + 200);
    app.stop().await;
}
