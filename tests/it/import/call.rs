//! `ImportAccounts`: every row stands by itself, to repeat does no harm, and old passwords go on being right.

use countersign::model::AccountState;
use countersign::proto::v1;
use countersign::proto::v1::ImportOutcome::{Created, Known, Refused};
use prost_types::{Struct, Timestamp, Value, value::Kind};
use tonic::{Code, Status};

use super::hashes::{DJANGO, UNUSABLE, password};
use super::{account, rows};
use crate::harness::{Backend, TestApp, bearer, details, mail_address, on_both_backends, phone_number};

on_both_backends!(
    an_account_comes_with_what_was_known_of_it,
    rows_that_collide_or_come_again_are_known,
    imports_at_the_same_time_take_everybody_once,
    bad_rows_spoil_no_others,
    old_passwords_are_right,
    what_was_never_proved_is_only_claimed,
    too_much_at_once_is_refused,
);

async fn import(app: &TestApp, messages: Vec<Vec<v1::ImportedAccount>>) -> Result<v1::ImportAccountsResponse, Status> {
    let messages: Vec<_> = messages.into_iter().map(|accounts| v1::ImportAccountsRequest { accounts }).collect();
    let request = bearer(tokio_stream::iter(messages), &app.api_key);
    Ok(app.node().admin().import_accounts(request).await?.into_inner())
}

fn outcomes(answer: &v1::ImportAccountsResponse) -> Vec<v1::ImportOutcome> {
    let numbers: Vec<_> = answer.results.iter().map(|result| result.row).collect();
    assert_eq!(numbers, (0..).take(numbers.len()).collect::<Vec<i64>>());
    answer.results.iter().map(v1::ImportResult::outcome).collect()
}

fn with(phone: &str, email: &str) -> v1::ImportedAccount {
    v1::ImportedAccount { phone: phone.to_owned(), email: email.to_owned(), ..Default::default() }
}

async fn an_account_comes_with_what_was_known_of_it(backend: Backend) {
    let app = TestApp::new(backend).await;
    let plan = Value { kind: Some(Kind::NumberValue(7.0)) };
    let row = v1::ImportedAccount {
        phone: "۰۹۱۲ ۱۲۳ ۴۵۶۷".to_owned(),
        email: "Ali@Example.com".to_owned(),
        first_name: "علی".to_owned(),
        last_name: "Rezaei".to_owned(),
        password_hash: UNUSABLE.to_owned(),
        roles: vec!["staff".to_owned(), "editors".to_owned()],
        metadata: Some(Struct { fields: [("plan".to_owned(), plan)].into() }),
        blocked: true,
        created_at: Some(Timestamp { seconds: 1_500_000_000, nanos: 250_000_000 }),
        last_login_at: Some(Timestamp { seconds: 1_600_000_000, nanos: 0 }),
        locale: "fa-IR".to_owned(),
        unproved: false,
    };
    let answer = import(&app, vec![vec![row, with("", "bare@example.com")]]).await.unwrap();
    assert_eq!((answer.created, answer.known, answer.refused), (2, 0, 0));
    let store = &app.node().app().store;
    let ali = account(store, "+989121234567").await.unwrap();
    assert_eq!(ali.id.to_string(), answer.results[0].account_id);
    assert_eq!(ali.email.unwrap().as_str(), "ali@example.com");
    assert_eq!((ali.first_name.as_str(), ali.last_name.as_str(), ali.locale.as_str()), ("علی", "Rezaei", "fa"));
    assert_eq!(ali.roles.names(), ["editors", "staff"]);
    assert_eq!(ali.metadata["plan"], 7);
    assert_eq!((ali.state, ali.blocked_until), (AccountState::Blocked, None));
    assert!(ali.password_hash.is_none());
    assert_eq!(ali.created_at.timestamp_millis(), 1_500_000_000_250);
    assert_eq!(ali.last_login_at.unwrap().timestamp(), 1_600_000_000);
    let bare = account(store, "bare@example.com").await.unwrap();
    assert_eq!((bare.state, bare.created_at, bare.last_login_at), (AccountState::Active, app.now(), None));
    assert_eq!(rows(store, "events WHERE kind = 'account.imported' AND actor LIKE 'caller:%'").await, 2);
    app.stop().await;
}

async fn rows_that_collide_or_come_again_are_known(backend: Backend) {
    let app = TestApp::new(backend).await;
    let here = app.sign_in("09120000001").await;
    let batch = || {
        vec![
            vec![with("09120000001", "one@example.com"), with("09120000002", "two@example.com")],
            vec![
                with("+98 912 000 0002", "other@example.com"),
                with("09120000003", "TWO@example.com"),
                with("09120000004", "one@example.com"),
                with("09120000004", ""),
            ],
        ]
    };
    let first = import(&app, batch()).await.unwrap();
    assert_eq!(outcomes(&first), [Known, Created, Known, Known, Created, Known]);
    assert_eq!(first.results[0].account_id, here.account_id);
    let id = |row: usize| first.results[row].account_id.as_str();
    assert_eq!((id(2), id(3), id(5)), (id(1), id(1), id(4)));
    // Who was here stays as they were.
    let store = &app.node().app().store;
    assert!(account(store, "+989120000001").await.unwrap().email.is_none());
    let again = import(&app, batch()).await.unwrap();
    assert_eq!((again.created, again.known, again.refused), (0, 6, 0));
    assert_eq!(rows(store, "accounts").await, 3);
    assert_eq!(rows(store, "events WHERE kind = 'account.imported'").await, 2);
    app.stop().await;
}

async fn imports_at_the_same_time_take_everybody_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let row = |number: u32| with(&format!("0912{number:07}"), &format!("user{}@example.com", 1199 - number));
    let there: Vec<_> = (0..1200).map(row).collect();
    let back: Vec<_> = there.iter().rev().cloned().collect();
    let batches = |rows: &[v1::ImportedAccount]| rows.chunks(400).map(<[_]>::to_vec).collect::<Vec<_>>();
    let calls = [&there, &back, &there, &back].map(|rows| import(&app, batches(rows)));
    let answers = futures_util::future::join_all(calls).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().map(|answer| answer.created).sum::<i64>(), 1200);
    assert_eq!(answers.iter().map(|answer| answer.known).sum::<i64>(), 3600);
    let ids = |answer: &v1::ImportAccountsResponse| -> Vec<String> {
        answer.results.iter().map(|result| result.account_id.clone()).collect()
    };
    assert_eq!(ids(&answers[0]), ids(&answers[1]).into_iter().rev().collect::<Vec<_>>());
    assert_eq!(ids(&answers[0]), ids(&answers[2]));
    assert_eq!(rows(&app.node().app().store, "accounts").await, 1200);
    assert_eq!(rows(&app.node().app().store, "events WHERE kind = 'account.imported'").await, 1200);
    app.stop().await;
}

async fn bad_rows_spoil_no_others(backend: Backend) {
    let app = TestApp::new(backend).await;
    let secret = "pbkdf2_sha256$0$hush$hush";
    let bad: [fn(&mut v1::ImportedAccount); 10] = [
        |row| row.phone = "hush".to_owned(),
        |row| row.phone = String::new(),
        |row| row.email = "hush".to_owned(),
        |row| row.password_hash = "hush".to_owned(),
        |row| row.password_hash = "pbkdf2_sha256$1$hu\0sh$aHVzaA==".to_owned(),
        |row| row.first_name = "hush\0".to_owned(),
        |row| row.roles = vec!["Hush Hush".to_owned()],
        |row| row.locale = "hush".to_owned(),
        |row| row.created_at = Some(Timestamp { seconds: i64::MAX, nanos: 0 }),
        |row| row.last_login_at = Some(Timestamp { seconds: 0, nanos: -1 }),
    ];
    let mut batch = Vec::new();
    for number in 0..200 {
        batch.push(with(&format!("0912100{number:04}"), ""));
        let mut row = with(&format!("0912200{number:04}"), "");
        bad[number % bad.len()](&mut row);
        batch.push(row);
    }
    batch.push(v1::ImportedAccount { password_hash: secret.to_owned(), ..with("09123000000", "") });
    let answer = import(&app, vec![batch]).await.unwrap();
    assert_eq!((answer.created, answer.known, answer.refused), (200, 0, 201));
    for result in &answer.results {
        assert_eq!(result.outcome() == Created, result.row % 2 == 0 && result.row < 400);
        assert_eq!(result.outcome() == Refused, !result.fault.is_empty());
        assert!(!result.fault.to_lowercase().contains("hush"), "{}", result.fault);
    }
    assert_eq!(rows(&app.node().app().store, "accounts").await, 200);
    app.stop().await;
}

/// The password is the one from before, and after its first use the hash is one of ours.
async fn old_passwords_are_right(backend: Backend) {
    let app = TestApp::new(backend).await;
    let row = |(scheme, hash): &(&str, &str)| v1::ImportedAccount {
        password_hash: (*hash).to_owned(),
        ..with("", &format!("{scheme}@example.com"))
    };
    let answer = import(&app, vec![DJANGO.iter().map(row).collect()]).await.unwrap();
    assert_eq!(answer.created, 6, "{answer:?}");
    for ((scheme, foreign), imported) in DJANGO.into_iter().zip(&answer.results) {
        let email = format!("{scheme}@example.com");
        let wrong = sign_in(&app, mail_address(&email), &password("else")).await.unwrap_err();
        assert_eq!(details(&wrong).reason, "INVALID_CREDENTIALS", "{scheme}");
        assert_eq!(hash(&app, &email).await, foreign);
        // The second time it is held against a hash of our own.
        for _ in 0..2 {
            let account_id = sign_in(&app, mail_address(&email), &password(scheme)).await.unwrap();
            assert_eq!(account_id, imported.account_id, "{scheme}");
            assert!(hash(&app, &email).await.starts_with("$argon2id$"), "{scheme}");
        }
    }
    app.stop().await;
}

async fn sign_in(app: &TestApp, identifier: v1::Identifier, password: &str) -> Result<String, Status> {
    let sent = v1::PasswordCredential { identifier: Some(identifier), password: password.to_owned() };
    let credential = Some(v1::login_request::Credential::Password(sent));
    let request = v1::LoginRequest { credential, ..Default::default() };
    Ok(app.node().auth().login(request).await?.into_inner().account.unwrap().account_id)
}

async fn hash(app: &TestApp, email: &str) -> String {
    account(&app.node().app().store, email).await.unwrap().password_hash.unwrap().expose().clone()
}

/// Whoever owns the number proves it with a code and gets an account of their own; nobody is let into the imported one.
async fn what_was_never_proved_is_only_claimed(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (scheme, hash) = DJANGO[0];
    let row =
        v1::ImportedAccount { unproved: true, password_hash: hash.to_owned(), ..with("09120000001", "a@example.com") };
    let batch = || vec![vec![row.clone(), row.clone()], vec![row.clone()]];
    assert_eq!(outcomes(&import(&app, batch()).await.unwrap()), [Created, Known, Known]);
    let first = import(&app, batch()).await.unwrap();
    assert_eq!(outcomes(&first), [Known, Known, Known]);
    let store = &app.node().app().store;
    let claimed = account(store, "+989120000001").await.unwrap();
    assert_eq!((claimed.phone, claimed.email), (None, None));
    assert_eq!(claimed.claimed_email.unwrap().as_str(), "a@example.com");
    let by_password = sign_in(&app, phone_number("09120000001"), &password(scheme)).await.unwrap();
    assert_eq!(by_password, first.results[0].account_id);
    let owner = app.sign_in("09120000001").await;
    assert_ne!(owner.account_id, first.results[0].account_id);
    // What somebody claims does not keep a proved row out.
    assert_eq!(outcomes(&import(&app, vec![vec![with("", "a@example.com")]]).await.unwrap()), [Created]);
    app.stop().await;
}

async fn too_much_at_once_is_refused(backend: Backend) {
    let app = TestApp::new(backend).await;
    let nobody = || v1::ImportedAccount::default();
    let refused = import(&app, vec![vec![nobody(); 1001]]).await.unwrap_err();
    assert_eq!(details(&refused).fields, ["accounts"]);
    let full = vec![vec![nobody(); 1000]; 20];
    assert_eq!(import(&app, full.clone()).await.unwrap().refused, 20_000);
    let refused = import(&app, [full, vec![vec![nobody()]]].concat()).await.unwrap_err();
    assert_eq!(
        (details(&refused).code, details(&refused).fields),
        (Code::InvalidArgument, vec!["accounts".to_owned()])
    );
    // Only this call takes large messages.
    let large = v1::ImportedAccount { last_name: "x".repeat(3 << 20), ..with("09120000001", "") };
    let answer = import(&app, vec![vec![large]]).await.unwrap();
    assert_eq!(outcomes(&answer), [Refused]);
    let large = v1::ImportedAccount { last_name: "x".repeat(5 << 20), ..with("09120000001", "") };
    assert_eq!(details(&import(&app, vec![vec![large]]).await.unwrap_err()).reason, "TOO_LARGE");
    let other = v1::CreateCallerRequest { name: "x".repeat(1 << 20), ..Default::default() };
    let refused = app.node().admin().create_caller(bearer(other, &app.api_key)).await.unwrap_err();
    assert_eq!(details(&refused).reason, "TOO_LARGE");
    app.stop().await;
}
