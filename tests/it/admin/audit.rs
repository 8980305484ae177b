//! Who did what: every change is a row that names its actor, address and request, and is found again.

use countersign::proto::v1;
use tonic::Request;

use super::{block, by_operator, create, delete, unblock, update, with_phone};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};
use crate::session::newcomer;

on_both_backends!(
    every_change_is_a_row_with_its_circumstances,
    values_stay_out_of_the_trail,
    what_somebody_only_claimed_goes_with_a_row,
    events_are_found_by_filter_and_in_pages,
    malformed_filters_are_named,
);

fn under<T>(mut request: Request<T>, name: &str) -> Request<T> {
    request.metadata_mut().insert("x-request-id", name.parse().unwrap());
    request
}

async fn page(app: &TestApp, filter: v1::AuditFilter, size: i32, token: &str) -> v1::ListAuditEventsResponse {
    let request = v1::ListAuditEventsRequest { filter: Some(filter), page_size: size, page_token: token.to_owned() };
    app.node().admin().list_audit_events(by_operator(app, request)).await.unwrap().into_inner()
}

/// The latest event of a kind.
async fn latest(app: &TestApp, kind: &str) -> v1::AuditEvent {
    let filter = v1::AuditFilter { kind: kind.to_owned(), ..Default::default() };
    page(app, filter, 1, "").await.events.pop().unwrap_or_else(|| panic!("no {kind}"))
}

async fn every_change_is_a_row_with_its_circumstances(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = v1::CreateAccountRequest { account: Some(with_phone("09121234567")), ..Default::default() };
    let request = under(by_operator(&app, request), "r-create");
    let account = app.node().admin().create_account(request).await.unwrap().into_inner().account.unwrap();
    let listed = app.node().admin().list_callers(by_operator(&app, v1::ListCallersRequest::default())).await.unwrap();
    let operator = format!("caller:{}", listed.into_inner().callers[0].caller_id);
    let account_id = account.account_id.clone();
    let person = app.sign_in("09121234567").await;
    let owner = format!("account:{account_id}");
    let about = |event: &v1::AuditEvent| (event.actor.clone(), event.request_id.clone(), event.account_id.clone());
    let mut seen = vec![("account.created", latest(&app, "account.created").await, &operator, "r-create")];

    let mask = prost_types::FieldMask { paths: vec!["locale".to_owned()] };
    let request = v1::UpdateAccountRequest { account: Some(account.clone()), update_mask: Some(mask) };
    app.node().admin().update_account(under(by_operator(&app, request), "r-update")).await.unwrap();
    seen.push(("account.updated", latest(&app, "account.updated").await, &operator, "r-update"));
    let request = v1::RevokeAccountSessionsRequest { account_id: account_id.clone(), ..Default::default() };
    app.node().admin().revoke_account_sessions(under(by_operator(&app, request), "r-revoke")).await.unwrap();
    seen.push(("session.ended", latest(&app, "session.ended").await, &operator, "r-revoke"));
    app.advance(1);
    let request = v1::BlockAccountRequest { account_id: account_id.clone(), ..Default::default() };
    app.node().admin().block_account(under(by_operator(&app, request), "r-block")).await.unwrap();
    seen.push(("account.blocked", latest(&app, "account.blocked").await, &operator, "r-block"));
    let request = v1::UnblockAccountRequest { account_id: account_id.clone() };
    app.node().admin().unblock_account(under(by_operator(&app, request), "r-unblock")).await.unwrap();
    seen.push(("account.unblocked", latest(&app, "account.unblocked").await, &operator, "r-unblock"));
    // What people do themselves.
    app.advance(60);
    let again = app.sign_in("09121234567").await;
    let request = v1::RefreshRequest { refresh_token: again.refresh_token.clone(), ..Default::default() };
    app.node().tokens().refresh(request.clone()).await.unwrap();
    app.advance(60);
    let tokens = app.sign_in("09121234567").await;
    let request_again = under(bearer(v1::LogoutRequest::default(), &tokens.access_token), "r-logout");
    app.node().auth().logout(request_again).await.unwrap();
    seen.push(("session.ended", latest(&app, "session.ended").await, &owner, "r-logout"));
    let target = Some(v1::blacklist_request::Target::AccountId(account_id.clone()));
    let blacklist = v1::BlacklistRequest { target, reason: "stolen".to_owned(), ..Default::default() };
    app.node().tokens().blacklist(under(by_operator(&app, blacklist), "r-blacklist")).await.unwrap();
    seen.push(("account.tokens_revoked", latest(&app, "account.tokens_revoked").await, &operator, "r-blacklist"));
    let request = v1::AdminServiceDeleteAccountRequest { account_id: account_id.clone() };
    app.node().admin().delete_account(under(by_operator(&app, request), "r-delete")).await.unwrap();
    seen.push(("account.deleted", latest(&app, "account.deleted").await, &operator, "r-delete"));
    for (kind, event, actor, request_id) in seen {
        assert_eq!(about(&event), (actor.clone(), request_id.to_owned(), account_id.clone()), "{kind}");
        assert_eq!((event.kind.as_str(), event.ip.as_str()), (kind, "127.0.0.1"));
        assert!(event.at.is_some() && !event.event_id.is_empty());
    }
    let created = latest(&app, "session.created").await;
    assert_eq!((created.actor, created.account_id), (owner, account_id));
    assert_ne!(person.access_token, again.access_token);

    // What concerns no account; the message's own name for the intent comes before the metadata's.
    let intent = request_id();
    let permissions = vec![v1::Permission::Introspect.into()];
    let caller = v1::CreateCallerRequest {
        name: "gateway".to_owned(),
        permissions,
        request_id: intent.clone(),
        ..Default::default()
    };
    let caller = app.node().admin().create_caller(under(by_operator(&app, caller), "r-metadata")).await.unwrap();
    assert_eq!(latest(&app, "caller.created").await.request_id, intent);
    let caller_id = caller.into_inner().caller.unwrap().caller_id;
    let rotate = v1::RotateCallerKeyRequest { caller_id: caller_id.clone(), ..Default::default() };
    app.node().admin().rotate_caller_key(under(by_operator(&app, rotate), "r-rotate")).await.unwrap();
    let gone = v1::DeleteCallerRequest { caller_id };
    app.node().admin().delete_caller(under(by_operator(&app, gone), "r-gone")).await.unwrap();
    let keys = v1::RotateSigningKeyRequest { force: true, ..Default::default() };
    app.node().admin().rotate_signing_key(under(by_operator(&app, keys), "r-keys")).await.unwrap();
    app.advance(86_400);
    app.node().admin().purge_expired(under(by_operator(&app, v1::PurgeExpiredRequest {}), "r-purge")).await.unwrap();
    for (kind, request_id) in [
        ("caller.key_rotated", "r-rotate"),
        ("caller.deleted", "r-gone"),
        ("signing_key.changed", "r-keys"),
        ("storage.purged", "r-purge"),
    ] {
        let event = latest(&app, kind).await;
        assert_eq!((event.actor, event.request_id), (operator.clone(), request_id.to_owned()), "{kind}");
    }
    app.stop().await;
}

async fn values_stay_out_of_the_trail(backend: Backend) {
    let app = TestApp::new(backend).await;
    let marked = v1::Account {
        email: "unmistakable@example.com".to_owned(),
        first_name: "Unmistakable".to_owned(),
        last_name: "Unmistakable".to_owned(),
        roles: vec!["unmistakable".to_owned()],
        ..with_phone("09121234567")
    };
    let created = create(&app, marked.clone()).await;
    let marked = v1::Account { account_id: created.account_id.clone(), ..marked };
    update(&app, marked, &["roles", "last_name", "first_name"]).await.unwrap();
    assert_eq!(latest(&app, "account.updated").await.detail, "first_name,last_name,roles");
    delete(&app, &created.account_id).await.unwrap();
    let told = "events WHERE lower(detail) LIKE '%unmistakable%' OR detail LIKE '%912123%'";
    assert_eq!(app.rows(told).await, 0);
    app.stop().await;
}

async fn what_somebody_only_claimed_goes_with_a_row(backend: Backend) {
    let app = TestApp::new(backend).await;
    let claimant = newcomer(&app).await.account_id;
    let claim = "UPDATE accounts SET claimed_phone = '+989121234567' WHERE id = $1";
    crate::harness::database::execute(&app.node().app().store, claim, &[claimant.parse().unwrap()]).await;
    let owner = app.sign_in("09121234567").await.account_id;
    assert_eq!(app.rows("accounts WHERE claimed_phone IS NOT NULL").await, 0);
    let event = latest(&app, "account.updated").await;
    assert_eq!((event.account_id, event.detail.as_str()), (claimant, "claimed_phone"));
    assert_eq!(event.actor, format!("account:{owner}"));
    app.stop().await;
}

async fn events_are_found_by_filter_and_in_pages(backend: Backend) {
    let app = TestApp::new(backend).await;
    let account = create(&app, with_phone("09121234567")).await;
    let other = create(&app, with_phone("09121234568")).await;
    let began = app.now().timestamp();
    for round in 0..6 {
        app.advance(10);
        block(&app, &account.account_id, &format!("round {round}"), None).await;
        app.advance(10);
        unblock(&app, &account.account_id).await;
    }
    block(&app, &other.account_id, "other", None).await;
    let of_account = v1::AuditFilter { account_id: account.account_id.clone(), ..Default::default() };
    let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = page(&app, of_account.clone(), 5, &token).await;
        listed.extend(page.events);
        pages += 1;
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        app.advance(1);
        unblock(&app, &other.account_id).await;
        block(&app, &other.account_id, "again", None).await;
    }
    // The account's creation, six blocks and their ends, each once, newest first.
    assert_eq!((listed.len(), pages), (13, 3));
    assert!(listed.is_sorted_by(|one, next| one.event_id > next.event_id));
    assert!(listed.iter().all(|event| event.account_id == account.account_id));

    let time = |seconds| Some(prost_types::Timestamp { seconds: began + seconds, nanos: 0 });
    let filter = v1::AuditFilter { kind: "account.blocked".to_owned(), ..of_account.clone() };
    let blocks = page(&app, filter.clone(), 0, "").await.events;
    let told: Vec<_> = blocks.iter().map(|event| event.detail.as_str()).collect();
    assert_eq!(told, ["round 5", "round 4", "round 3", "round 2", "round 1", "round 0"]);
    // From 30 s (the second block) until before 70 s (the fourth).
    let filter = v1::AuditFilter { from: time(30), before: time(70), ..filter };
    let told: Vec<_> = page(&app, filter, 0, "").await.events.into_iter().map(|event| event.detail).collect();
    assert_eq!(told, ["round 2", "round 1"]);
    let by = |actor: &str| v1::AuditFilter { actor: actor.to_owned(), ..of_account.clone() };
    assert_eq!(page(&app, by(&listed[0].actor), 0, "").await.events.len(), 13);
    assert!(page(&app, by("operator"), 0, "").await.events.is_empty());
    app.stop().await;
}

async fn malformed_filters_are_named(backend: Backend) {
    let app = TestApp::new(backend).await;
    let filter = v1::AuditFilter {
        account_id: "x".to_owned(),
        kind: "session.created' OR 1=1".to_owned(),
        actor: "x".repeat(65),
        from: Some(prost_types::Timestamp { seconds: -1, nanos: 0 }),
        before: None,
    };
    let request = v1::ListAuditEventsRequest { filter: Some(filter), page_size: -1, page_token: "?".to_owned() };
    let refused = details(&app.node().admin().list_audit_events(by_operator(&app, request)).await.unwrap_err());
    let mut fields = refused.fields;
    fields.sort_unstable();
    let expected = ["filter.account_id", "filter.actor", "filter.from", "filter.kind", "page_size", "page_token"];
    assert_eq!((refused.reason.as_str(), fields), ("INVALID_FIELD", expected.map(str::to_owned).to_vec()));
    app.stop().await;
}
