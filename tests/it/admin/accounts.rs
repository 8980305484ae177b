//! Accounts opened, changed, deleted and signed out by an operator.

use std::collections::BTreeMap;

use countersign::proto::v1;
use futures_util::future::join_all;
use prost_types::value::Kind;
use tonic_types::StatusExt;

use super::{by_operator, create, delete, show, try_create, update, with_phone};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};
use crate::session::{newcomer, reason, refresh, session_of};

on_both_backends!(
    an_account_is_opened_and_shown,
    a_repeated_creation_opens_one_account,
    a_number_or_an_address_is_one_accounts,
    what_is_malformed_is_named_and_opens_nothing,
    what_the_mask_names_is_changed_and_nothing_else,
    a_role_counts_from_the_next_refresh,
    what_is_deleted_is_gone_and_its_number_is_free,
    people_are_signed_out_one_by_one_or_everywhere,
);

fn metadata(name: &str, value: &str) -> prost_types::Struct {
    let value = prost_types::Value { kind: Some(Kind::StringValue(value.to_owned())) };
    prost_types::Struct { fields: BTreeMap::from([(name.to_owned(), value)]) }
}

async fn an_account_is_opened_and_shown(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account = v1::Account {
        phone: "۰۹۱۲ ۱۲۳ ۴۵۶۷".to_owned(),
        email: "Ali@Example.com".to_owned(),
        first_name: "علی".to_owned(),
        last_name: "رضایی".to_owned(),
        roles: vec!["shop:editor".to_owned(), "admin".to_owned(), "admin".to_owned()],
        metadata: Some(metadata("plan", "gold")),
        locale: "fa-IR".to_owned(),
        ..Default::default()
    };
    let password = "a long enough riddle".to_owned();
    let request = v1::CreateAccountRequest { account: Some(account), password, ..Default::default() };
    let created = try_create(&app, request).await.unwrap();
    let expected = v1::Account {
        account_id: created.account_id.clone(),
        phone: "+989121234567".to_owned(),
        phone_verified: true,
        email: "ali@example.com".to_owned(),
        email_verified: true,
        first_name: "علی".to_owned(),
        last_name: "رضایی".to_owned(),
        roles: vec!["admin".to_owned(), "shop:editor".to_owned()],
        state: v1::AccountState::Active.into(),
        created_at: created.created_at,
        has_password: true,
        metadata: Some(metadata("plan", "gold")),
        locale: "fa".to_owned(),
        ..Default::default()
    };
    assert_eq!(created, expected);
    assert_eq!(show(&app, &created.account_id).await.account, Some(expected));
    let hashed = "accounts WHERE password_hash LIKE '$argon2id$%' AND password_hash NOT LIKE '%riddle%'";
    assert_eq!(app.rows(hashed).await, 1);

    // It is the account that its owner signs in to; a role is in the token.
    let person = app.sign_in("09121234567").await;
    assert_eq!(person.account_id, created.account_id);
    app.node().admin().list_callers(bearer(v1::ListCallersRequest::default(), &person.access_token)).await.unwrap();
    let unknown = v1::GetAccountRequest { account_id: request_id() };
    assert_eq!(reason(app.node().admin().get_account(by_operator(&app, unknown)).await), "ACCOUNT_NOT_FOUND");
    app.stop().await;
}

async fn a_repeated_creation_opens_one_account(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = v1::CreateAccountRequest {
        account: Some(with_phone("09121234567")),
        password: "a long enough riddle".to_owned(),
        request_id: request_id(),
    };
    let mut answers = join_all((0..10).map(|_| try_create(&app, request.clone()))).await;
    app.advance(86_400);
    answers.push(try_create(&app, request.clone()).await);
    let mut accounts: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    accounts.dedup();
    assert_eq!(accounts.len(), 1);
    assert_eq!((app.rows("accounts").await, app.rows("events WHERE kind = 'account.created'").await), (1, 1));
    let others = [
        v1::CreateAccountRequest { account: Some(with_phone("09121234568")), ..request.clone() },
        v1::CreateAccountRequest { password: "another long riddle".to_owned(), ..request.clone() },
        v1::CreateAccountRequest {
            account: Some(v1::Account { roles: vec!["admin".to_owned()], ..with_phone("09121234567") }),
            ..request.clone()
        },
    ];
    for other in others {
        assert_eq!(reason(try_create(&app, other).await), "REQUEST_ID_REUSED");
    }
    assert_eq!(app.rows("accounts").await, 1);
    app.stop().await;
}

async fn a_number_or_an_address_is_one_accounts(backend: Backend) {
    let app = TestApp::new(backend).await;
    let both = v1::Account { email: "ali@example.com".to_owned(), ..with_phone("09121234567") };
    create(&app, both).await;
    let by_mail = v1::Account { email: "ALI@example.com".to_owned(), ..with_phone("09121234568") };
    for account in [with_phone("+98 912 123 4567"), by_mail] {
        for request_id in [String::new(), request_id()] {
            let request = v1::CreateAccountRequest { account: Some(account.clone()), request_id, ..Default::default() };
            assert_eq!(reason(try_create(&app, request).await), "IDENTIFIER_TAKEN");
        }
    }
    let request = v1::CreateAccountRequest { account: Some(with_phone("09121234569")), ..Default::default() };
    let outcomes = join_all((0..20).map(|_| try_create(&app, request.clone()))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(app.rows("accounts").await, 2);
    app.stop().await;
}

async fn what_is_malformed_is_named_and_opens_nothing(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wrong = v1::Account {
        phone: "12".to_owned(),
        email: "nobody".to_owned(),
        first_name: "x".repeat(129),
        last_name: "a\nb".to_owned(),
        roles: vec!["editor".to_owned(), "Not One".to_owned()],
        locale: "xx".to_owned(),
        metadata: Some(metadata("a", &"x".repeat(4_096))),
        ..Default::default()
    };
    let request =
        v1::CreateAccountRequest { account: Some(wrong), request_id: "mine".to_owned(), ..Default::default() };
    let refused = details(&try_create(&app, request).await.unwrap_err());
    let mut fields = refused.fields;
    fields.sort_unstable();
    let expected = [
        "account.email",
        "account.first_name",
        "account.last_name",
        "account.locale",
        "account.metadata",
        "account.phone",
        "account.roles[1]",
        "request_id",
    ];
    assert_eq!((refused.reason.as_str(), fields), ("INVALID_FIELD", expected.map(str::to_owned).to_vec()));
    let many = (0..33).map(|number| format!("role{number}")).collect();
    for account in [None, Some(v1::Account::default()), Some(v1::Account { roles: many, ..with_phone("09121234567") })]
    {
        let request = v1::CreateAccountRequest { account, ..Default::default() };
        assert_eq!(reason(try_create(&app, request).await), "INVALID_FIELD");
    }
    for (password, rule) in [("short", "too_short"), ("password123", "common"), ("09121234567", "personal")] {
        let account = Some(with_phone("09121234567"));
        let request = v1::CreateAccountRequest { account, password: password.to_owned(), ..Default::default() };
        let refused = try_create(&app, request).await.unwrap_err();
        assert_eq!(details(&refused).reason, "PASSWORD_UNFIT");
        assert_eq!(details(&refused).fields, ["password"]);
        assert_eq!(refused.get_error_details().error_info().unwrap().metadata["rule"], rule, "{password}");
    }
    assert_eq!(app.rows("accounts").await, 0);
    app.stop().await;
}

async fn what_the_mask_names_is_changed_and_nothing_else(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = create(
        &app,
        v1::Account {
            first_name: "A".to_owned(),
            last_name: "B".to_owned(),
            roles: vec!["x".to_owned()],
            metadata: Some(metadata("k", "v")),
            locale: "en".to_owned(),
            ..with_phone("09121234567")
        },
    )
    .await;
    let empty = v1::Account { account_id: first.account_id.clone(), ..Default::default() };
    let changed = update(&app, v1::Account { first_name: "C".to_owned(), ..empty.clone() }, &["first_name"]).await;
    assert_eq!(changed.unwrap(), v1::Account { first_name: "C".to_owned(), ..first.clone() });
    let changed = update(&app, empty.clone(), &["roles", "metadata", "locale"]).await.unwrap();
    let expected = v1::Account {
        first_name: "C".to_owned(),
        roles: Vec::new(),
        metadata: None,
        locale: String::new(),
        ..first.clone()
    };
    assert_eq!(changed, expected);
    // What is changed at the same time does not undo one another.
    let named = v1::Account { first_name: "D".to_owned(), last_name: "E".to_owned(), ..empty.clone() };
    let (one, other) =
        tokio::join!(update(&app, named.clone(), &["first_name"]), update(&app, named.clone(), &["last_name"]));
    one.unwrap();
    other.unwrap();
    let account = show(&app, &first.account_id).await.account.unwrap();
    assert_eq!((account.first_name.as_str(), account.last_name.as_str()), ("D", "E"));
    for (account, paths) in [
        (empty.clone(), &[][..]),
        (v1::Account { roles: vec!["No".to_owned()], ..empty.clone() }, &["roles"]),
        (v1::Account { account_id: String::new(), ..empty.clone() }, &["locale"]),
    ] {
        assert_eq!(reason(update(&app, account, paths).await), "INVALID_FIELD");
    }
    let unknown = v1::Account { account_id: request_id(), ..Default::default() };
    assert_eq!(reason(update(&app, unknown, &["locale"]).await), "ACCOUNT_NOT_FOUND");
    app.stop().await;
}

async fn a_role_counts_from_the_next_refresh(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let grown =
        v1::Account { account_id: person.account_id.clone(), roles: vec!["admin".to_owned()], ..Default::default() };
    update(&app, grown, &["roles"]).await.unwrap();
    let list = |token: &str| {
        let (mut admin, request) = (app.node().admin(), bearer(v1::ListAccountsRequest::default(), token));
        async move { admin.list_accounts(request).await }
    };
    assert_eq!(reason(list(&person.access_token).await), "PERMISSION_DENIED");
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    list(&next.access_token).await.unwrap();
    app.stop().await;
}

async fn what_is_deleted_is_gone_and_its_number_is_free(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account = v1::Account {
        email: "ali@example.com".to_owned(),
        first_name: "Unmistakable".to_owned(),
        metadata: Some(metadata("k", "Unmistakable")),
        ..with_phone("09121234567")
    };
    let request =
        v1::CreateAccountRequest { account: Some(account.clone()), request_id: request_id(), ..Default::default() };
    let created = try_create(&app, request.clone()).await.unwrap();
    let person = app.sign_in("09121234567").await;
    assert_eq!(person.account_id, created.account_id);
    delete(&app, &created.account_id).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    assert_eq!(reason(refresh(&app, &person.refresh_token).await), "SESSION_ENDED");
    let left = show(&app, &created.account_id).await.account.unwrap();
    let expected = v1::Account {
        account_id: created.account_id.clone(),
        state: v1::AccountState::Deleted.into(),
        created_at: created.created_at,
        last_login_at: left.last_login_at,
        ..Default::default()
    };
    assert_eq!(left, expected);
    let erased = "accounts WHERE phone IS NULL AND email IS NULL AND first_name = '' AND metadata = '{}'
        AND password_hash IS NULL AND national_id_hash IS NULL AND full_name = '' AND created_with IS NULL";
    assert_eq!(app.rows(erased).await, 1);
    assert_eq!(app.rows("sessions WHERE ip <> '' OR user_agent <> '' OR device_name <> ''").await, 0);
    assert_eq!(reason(delete(&app, &created.account_id).await), "ACCOUNT_NOT_FOUND");
    for gone in [created.account_id.clone(), request_id()] {
        let request = v1::BlockAccountRequest { account_id: gone.clone(), ..Default::default() };
        assert_eq!(reason(app.node().admin().block_account(by_operator(&app, request)).await), "ACCOUNT_NOT_FOUND");
        let request = v1::UnblockAccountRequest { account_id: gone };
        assert_eq!(reason(app.node().admin().unblock_account(by_operator(&app, request)).await), "ACCOUNT_NOT_FOUND");
    }
    assert_eq!(app.rows("events WHERE kind = 'account.deleted'").await, 1);
    // An answer that comes late opens no second account.
    assert_eq!(try_create(&app, request).await.unwrap(), left);

    // Whoever has the number now is somebody else.
    let newcomer = app.sign_in("09121234567").await;
    assert_ne!(newcomer.account_id, created.account_id);
    let by_mail = v1::Account { email: account.email, ..Default::default() };
    create(&app, by_mail).await;
    app.stop().await;
}

async fn people_are_signed_out_one_by_one_or_everywhere(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(app.sign_in("09121234567").await);
        app.advance(60);
    }
    let (other, account_id) = (newcomer(&app).await, devices[0].account_id.clone());
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListAccountSessionsRequest { account_id: account_id.clone(), page_size: 2, page_token };
        let page = app.node().admin().list_account_sessions(by_operator(&app, request)).await.unwrap().into_inner();
        listed.extend(page.sessions.into_iter().map(|session| session.session_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let sessions: Vec<_> = devices.iter().rev().map(|one| session_of(&app, &one.access_token).to_string()).collect();
    assert_eq!(listed, sessions);
    let revoke = async |session_id: &str| {
        let (account_id, session_id) = (account_id.clone(), session_id.to_owned());
        let request = v1::RevokeAccountSessionsRequest { account_id, session_id };
        let answer = app.node().admin().revoke_account_sessions(by_operator(&app, request)).await;
        answer.map(|answer| answer.into_inner().ended)
    };
    assert_eq!(revoke(&sessions[0]).await.unwrap(), 1);
    assert!(!app.is_active(&devices[2].access_token).await && app.is_active(&devices[1].access_token).await);
    for gone in [sessions[0].clone(), session_of(&app, &other.access_token).to_string(), request_id()] {
        assert_eq!(reason(revoke(&gone).await), "SESSION_NOT_FOUND");
    }
    assert_eq!(revoke("").await.unwrap(), 2);
    for device in &devices {
        assert!(!app.is_active(&device.access_token).await);
        assert_eq!(reason(refresh(&app, &device.refresh_token).await), "SESSION_ENDED");
    }
    assert_eq!(revoke("").await.unwrap(), 0);
    assert!(app.is_active(&other.access_token).await);
    assert_eq!(app.rows("sessions WHERE end_reason = 'ended_by_operator'").await, 3);
    app.stop().await;
}
