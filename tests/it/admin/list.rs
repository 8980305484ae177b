//! Accounts found: each filter by itself and together, and pages that neither repeat nor skip.

use std::collections::HashSet;

use countersign::proto::v1::{self, AccountState};

use super::{block, by_operator, create, delete, with_phone};
use crate::harness::{Backend, TestApp, details, on_both_backends};
use crate::session::newcomer;

on_both_backends!(
    each_filter_finds_what_it_names,
    names_are_found_by_their_beginning_and_by_the_letter,
    pages_neither_repeat_nor_skip,
    malformed_filters_are_named,
);

async fn page(app: &TestApp, filter: v1::AccountFilter, size: i32, token: &str) -> v1::ListAccountsResponse {
    let request = v1::ListAccountsRequest { filter: Some(filter), page_size: size, page_token: token.to_owned() };
    app.node().admin().list_accounts(by_operator(app, request)).await.unwrap().into_inner()
}

/// Who is found, by their given name.
async fn found(app: &TestApp, filter: v1::AccountFilter) -> Vec<String> {
    page(app, filter, 0, "").await.accounts.into_iter().map(|account| account.first_name).collect()
}

fn called(first_name: &str, phone: &str) -> v1::Account {
    v1::Account { first_name: first_name.to_owned(), ..with_phone(phone) }
}

async fn each_filter_finds_what_it_names(backend: Backend) {
    let app = TestApp::new(backend).await;
    let began = app.now().timestamp();
    let roles = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    create(&app, v1::Account { roles: roles(&["a_b", "editor"]), ..called("active", "09121234561") }).await;
    app.advance(60);
    let blocked = create(&app, v1::Account { roles: roles(&["axb"]), ..called("blocked", "09121234562") }).await;
    let lapsed = create(&app, called("lapsed", "09121234563")).await;
    app.advance(60);
    let mail = v1::Account { email: "m@example.com".to_owned(), first_name: "mail".to_owned(), ..Default::default() };
    create(&app, mail).await;
    let deleted = create(&app, called("deleted", "09121234564")).await;
    block(&app, &blocked.account_id, "", None).await;
    block(&app, &lapsed.account_id, "", Some(600)).await;
    delete(&app, &deleted.account_id).await.unwrap();

    let state = |state: AccountState| v1::AccountFilter { state: state.into(), ..Default::default() };
    let time = |seconds| Some(prost_types::Timestamp { seconds: began + seconds, nanos: 0 });
    assert_eq!(found(&app, v1::AccountFilter::default()).await.len(), 5);
    let shut = found(&app, state(AccountState::Blocked)).await;
    assert_eq!(shut.iter().collect::<HashSet<_>>(), HashSet::from([&"blocked".to_owned(), &"lapsed".to_owned()]));
    assert_eq!(found(&app, state(AccountState::Deleted)).await, [""]);
    app.advance(600);
    assert_eq!(found(&app, state(AccountState::Blocked)).await, ["blocked"]);
    assert_eq!(found(&app, state(AccountState::Active)).await.len(), 3);

    let filter = v1::AccountFilter { phone: "0912 123 4561".to_owned(), ..Default::default() };
    assert_eq!(found(&app, filter.clone()).await, ["active"]);
    let filter = v1::AccountFilter { state: AccountState::Blocked.into(), ..filter };
    assert!(found(&app, filter).await.is_empty());
    let filter = v1::AccountFilter { email: "M@example.com".to_owned(), ..Default::default() };
    assert_eq!(found(&app, filter).await, ["mail"]);
    for (role, who) in [("editor", &["active"][..]), ("a_b", &["active"]), ("axb", &["blocked"]), ("edit", &[])] {
        let filter = v1::AccountFilter { role: role.to_owned(), ..Default::default() };
        assert_eq!(found(&app, filter).await, who, "{role}");
    }
    let filter = v1::AccountFilter { created_from: time(60), created_before: time(120), ..Default::default() };
    assert_eq!(found(&app, filter).await.len(), 2);
    let filter = v1::AccountFilter { created_before: time(60), ..Default::default() };
    assert_eq!(found(&app, filter).await, ["active"]);
    let filter = v1::AccountFilter { created_from: time(121), ..Default::default() };
    assert!(found(&app, filter).await.is_empty());

    // A number that was never proved is found as well.
    let claimed = newcomer(&app).await.account_id;
    let claim = "UPDATE accounts SET claimed_phone = '+989121230000', first_name = 'claimed' WHERE id = $1";
    crate::harness::database::execute(&app.node().app().store, claim, &[claimed.parse().unwrap()]).await;
    let filter = v1::AccountFilter { phone: "09121230000".to_owned(), ..Default::default() };
    assert_eq!(found(&app, filter).await, ["claimed"]);
    app.stop().await;
}

async fn names_are_found_by_their_beginning_and_by_the_letter(backend: Backend) {
    let app = TestApp::new(backend).await;
    let names = [
        ("علی", "رضایی"),
        ("علیرضا", "احمدی"),
        ("Ali", "O'Neil"),
        ("ALICE", "de_la%Cruz"),
        ("Étienne", "deXla"),
        ("%", "_"),
    ];
    for (at, (first_name, last_name)) in names.into_iter().enumerate() {
        let last_name = last_name.to_owned();
        create(&app, v1::Account { last_name, ..called(first_name, &format!("0912123456{at}")) }).await;
    }
    for (prefix, who) in [
        ("علی", &["علی", "علیرضا"][..]),
        ("علیر", &["علیرضا"]),
        ("احم", &["علیرضا"]),
        ("ali", &["Ali", "ALICE"]),
        ("ALI", &["Ali", "ALICE"]),
        ("o'n", &["Ali"]),
        ("De_", &["ALICE"]),
        ("de_la%c", &["ALICE"]),
        ("%", &["%"]),
        ("_", &["%"]),
        ("li", &[]),
        ("É", &["Étienne"]),
        ("é", &[]),
        ("a", &["Ali", "ALICE"]),
        ("'; DROP TABLE accounts; --", &[]),
    ] {
        let filter = v1::AccountFilter { name_prefix: prefix.to_owned(), ..Default::default() };
        let found: HashSet<_> = found(&app, filter).await.into_iter().collect();
        assert_eq!(found, who.iter().map(|name| (*name).to_owned()).collect(), "{prefix}");
    }
    app.stop().await;
}

async fn pages_neither_repeat_nor_skip(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut expected = Vec::new();
    for _ in 0..23 {
        app.advance(1);
        expected.push(newcomer(&app).await.account_id);
    }
    expected.reverse();
    let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = page(&app, v1::AccountFilter::default(), 5, &token).await;
        assert!(page.accounts.len() <= 5);
        listed.extend(page.accounts.into_iter().map(|account| account.account_id));
        pages += 1;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // Who comes in meanwhile stands before the first page.
        app.advance(1);
        newcomer(&app).await;
    }
    assert_eq!((listed, pages), (expected, 5));
    app.stop().await;
}

async fn malformed_filters_are_named(backend: Backend) {
    let app = TestApp::new(backend).await;
    let filter = v1::AccountFilter {
        state: 99,
        phone: "12".to_owned(),
        email: "x".to_owned(),
        name_prefix: "a\0".to_owned(),
        role: "Not One".to_owned(),
        created_from: Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }),
        created_before: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
    };
    let request = v1::ListAccountsRequest { filter: Some(filter), page_size: -1, page_token: "not one".to_owned() };
    let refused = details(&app.node().admin().list_accounts(by_operator(&app, request)).await.unwrap_err());
    let mut fields = refused.fields;
    fields.sort_unstable();
    let expected = ["created_before", "created_from", "email", "name_prefix", "phone", "role", "state"]
        .map(|field| format!("filter.{field}"))
        .into_iter()
        .chain(["page_size".to_owned(), "page_token".to_owned()]);
    assert_eq!((refused.reason.as_str(), fields), ("INVALID_FIELD", expected.collect()));
    app.stop().await;
}
