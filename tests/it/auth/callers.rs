//! Callers: let in, listed, given another key, shut out.

use countersign::proto::v1::{self, Permission};
use futures_util::future::join_all;
use tonic::Request;

use super::{ask, refusal};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};

on_both_backends!(
    a_caller_is_let_in_and_may_do_what_it_was_given,
    callers_are_listed_by_name_in_pages,
    a_name_is_one_callers,
    a_repeated_creation_gives_the_same_key,
    another_key_replaces_the_first_at_once,
    a_deleted_caller_is_out_at_once,
    an_unknown_key_is_refused_wherever_it_is_shown,
    only_administrators_administer,
);

fn named(name: &str, permissions: &[Permission]) -> v1::CreateCallerRequest {
    let permissions = permissions.iter().map(|permission| (*permission).into()).collect();
    v1::CreateCallerRequest { name: name.to_owned(), permissions, ..Default::default() }
}

async fn create(app: &TestApp, request: v1::CreateCallerRequest) -> v1::CreateCallerResponse {
    app.node().admin().create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner()
}

/// Why this key may not introspect, or nothing.
async fn introspection_refused(app: &TestApp, key: &str) -> Option<String> {
    let request = v1::IntrospectRequest { token: "any".to_owned(), ..Default::default() };
    app.node().tokens().introspect(bearer(request, key)).await.err().map(|status| details(&status).reason)
}

async fn a_caller_is_let_in_and_may_do_what_it_was_given(backend: Backend) {
    let app = TestApp::new(backend).await;
    let answer = create(&app, named("gateway", &[Permission::Introspect, Permission::Introspect])).await;
    let caller = answer.caller.unwrap();
    assert_eq!((caller.name.as_str(), caller.permissions), ("gateway", vec![Permission::Introspect.into()]));
    assert_eq!((caller.created_at.unwrap().seconds, caller.rotated_at), (app.now().timestamp(), None));
    assert!(answer.api_key.starts_with("csk_") && answer.api_key.len() == 47);
    assert_eq!(introspection_refused(&app, &answer.api_key).await, None);

    let mut by_header = Request::new(v1::IntrospectRequest { token: "any".to_owned(), ..Default::default() });
    by_header.metadata_mut().insert("x-api-key", answer.api_key.parse().unwrap());
    app.node().tokens().introspect(by_header).await.unwrap();

    let target = Some(v1::blacklist_request::Target::SessionId(request_id()));
    let blacklist = bearer(v1::BlacklistRequest { target, ..Default::default() }, &answer.api_key);
    assert_eq!(refusal(app.node().tokens().blacklist(blacklist).await).reason, "PERMISSION_DENIED");
    app.stop().await;
}

async fn callers_are_listed_by_name_in_pages(backend: Backend) {
    let app = TestApp::new(backend).await;
    // Whatever the database sorts by, a page begins where the one before has ended.
    let names = ["b.c", "a-b", "ab", "a_b", "b", "a", "a.b", "z", "a1"];
    for name in names {
        create(&app, named(name, &[Permission::Revoke])).await;
    }
    let (mut listed, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = v1::ListCallersRequest { page_size: 3, page_token };
        let page = app.node().admin().list_callers(bearer(request, &app.api_key)).await.unwrap().into_inner();
        assert!(page.callers.len() <= 3);
        listed.extend(page.callers.into_iter().map(|caller| caller.name));
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut expected: Vec<_> = names.iter().map(|name| (*name).to_owned()).chain(["development".to_owned()]).collect();
    expected.sort_unstable();
    assert_eq!((listed, pages), (expected, 4));

    let request = v1::ListCallersRequest { page_size: i32::MAX, ..Default::default() };
    let all = app.node().admin().list_callers(bearer(request, &app.api_key)).await.unwrap().into_inner();
    assert_eq!((all.callers.len(), all.next_page_token.as_str()), (10, ""));
    app.stop().await;
}

async fn a_name_is_one_callers(backend: Backend) {
    let app = TestApp::new(backend).await;
    create(&app, named("gateway", &[Permission::Introspect])).await;
    for request_id in [String::new(), request_id()] {
        let second = v1::CreateCallerRequest { request_id, ..named("gateway", &[Permission::Introspect]) };
        let refused = refusal(app.node().admin().create_caller(bearer(second, &app.api_key)).await);
        assert_eq!(refused.reason, "CALLER_NAME_TAKEN");
    }
    let longest = "a".repeat(64);
    for good in [longest.as_str(), "x", "a.b-c_9"] {
        create(&app, named(good, &[Permission::Introspect])).await;
    }
    let longer = "a".repeat(65);
    for bad in ["", "9a", "-a", "A", "a b", "a\n", "a\0", "é", "a/b", longer.as_str()] {
        let request = bearer(named(bad, &[Permission::Introspect]), &app.api_key);
        let refused = refusal(app.node().admin().create_caller(request).await);
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["name".to_owned()]), "{bad:?}");
    }
    app.stop().await;
}

async fn a_repeated_creation_gives_the_same_key(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = v1::CreateCallerRequest { request_id: request_id(), ..named("gateway", &[Permission::Introspect]) };
    let mut answers = join_all((0..10).map(|_| create(&app, request.clone()))).await;
    app.advance(60);
    answers.push(create(&app, request.clone()).await);
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert_eq!(introspection_refused(&app, &answers[0].api_key).await, None);

    for other in [named("another", &[Permission::Introspect]), named("gateway", &[Permission::Admin])] {
        let other = v1::CreateCallerRequest { request_id: request.request_id.clone(), ..other };
        let refused = refusal(app.node().admin().create_caller(bearer(other, &app.api_key)).await);
        assert_eq!(refused.reason, "REQUEST_ID_REUSED");
    }
    assert_eq!(app.rows("callers").await, 2);
    assert_eq!(app.rows("events WHERE kind = 'caller.created' AND detail = 'gateway'").await, 1);
    app.stop().await;
}

async fn another_key_replaces_the_first_at_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = create(&app, named("gateway", &[Permission::Introspect])).await;
    let caller_id = first.caller.unwrap().caller_id;
    app.advance(60);
    let rotate = |caller_id: &str, request_id: &str| {
        let request = v1::RotateCallerKeyRequest { caller_id: caller_id.to_owned(), request_id: request_id.to_owned() };
        let (mut admin, request) = (app.node().admin(), bearer(request, &app.api_key));
        async move { admin.rotate_caller_key(request).await }
    };
    let intent = request_id();
    let second = rotate(&caller_id, &intent).await.unwrap().into_inner();
    assert_eq!(rotate(&caller_id, &intent).await.unwrap().into_inner(), second);
    assert_ne!(second.api_key, first.api_key);
    assert_eq!(second.caller.unwrap().rotated_at.unwrap().seconds, app.now().timestamp());
    assert_eq!(introspection_refused(&app, &first.api_key).await.as_deref(), Some("API_KEY_INVALID"));
    assert_eq!(introspection_refused(&app, &second.api_key).await, None);

    let another = create(&app, named("another", &[Permission::Introspect])).await.caller.unwrap().caller_id;
    assert_eq!(refusal(rotate(&another, &intent).await).reason, "REQUEST_ID_REUSED");
    let third = rotate(&caller_id, "").await.unwrap().into_inner();
    let fourth = rotate(&caller_id, "").await.unwrap().into_inner();
    assert_ne!(third.api_key, fourth.api_key);
    assert_eq!(refusal(rotate(&request_id(), "").await).reason, "CALLER_NOT_FOUND");
    app.stop().await;
}

async fn a_deleted_caller_is_out_at_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let created = create(&app, named("gateway", &[Permission::Introspect])).await;
    assert_eq!(introspection_refused(&app, &created.api_key).await, None);
    let request = v1::DeleteCallerRequest { caller_id: created.caller.unwrap().caller_id };
    app.node().admin().delete_caller(bearer(request.clone(), &app.api_key)).await.unwrap();
    assert_eq!(introspection_refused(&app, &created.api_key).await.as_deref(), Some("API_KEY_INVALID"));
    let again = refusal(app.node().admin().delete_caller(bearer(request, &app.api_key)).await);
    assert_eq!(again.reason, "CALLER_NOT_FOUND");
    app.stop().await;
}

async fn an_unknown_key_is_refused_wherever_it_is_shown(backend: Backend) {
    let app = TestApp::new(backend).await;
    let last = if app.api_key.ends_with('A') { 'B' } else { 'A' };
    let almost = format!("{}{last}", &app.api_key[..app.api_key.len() - 1]);
    for key in ["csk_", "csk_unknown", almost.as_str()] {
        let public = app.node().auth().request_otp(bearer(ask("09121234567"), key)).await;
        assert_eq!(refusal(public).reason, "API_KEY_INVALID");
        let public = app.node().tokens().get_jwks(bearer(v1::GetJwksRequest {}, key)).await;
        assert_eq!(refusal(public).reason, "API_KEY_INVALID");
        assert_eq!(introspection_refused(&app, key).await.as_deref(), Some("API_KEY_INVALID"));
        // A right key beside a wrong one does not help.
        let mut both = bearer(v1::GetJwksRequest {}, &app.api_key);
        both.metadata_mut().insert("x-api-key", key.parse().unwrap());
        assert_eq!(refusal(app.node().tokens().get_jwks(both).await).reason, "API_KEY_INVALID");
    }
    app.stop().await;
}

async fn only_administrators_administer(backend: Backend) {
    let app = TestApp::new(backend).await;
    let others = [Permission::Introspect, Permission::Revoke, Permission::ActForClients];
    let gateway = create(&app, named("gateway", &others)).await.api_key;
    let person = app.sign_in("09121234567").await.access_token;
    let mut admin = app.node().admin();
    for (credential, reason) in [(gateway, "PERMISSION_DENIED"), (person, "PERMISSION_DENIED")] {
        let refusals = [
            admin.create_caller(bearer(named("x", &others), &credential)).await.unwrap_err(),
            admin.list_callers(bearer(v1::ListCallersRequest::default(), &credential)).await.unwrap_err(),
            admin.rotate_caller_key(bearer(v1::RotateCallerKeyRequest::default(), &credential)).await.unwrap_err(),
            admin.delete_caller(bearer(v1::DeleteCallerRequest::default(), &credential)).await.unwrap_err(),
            admin.list_signing_keys(bearer(v1::ListSigningKeysRequest {}, &credential)).await.unwrap_err(),
            admin
                .rotate_signing_key(bearer(v1::RotateSigningKeyRequest { force: true, revoke: false }, &credential))
                .await
                .unwrap_err(),
            admin.purge_expired(bearer(v1::PurgeExpiredRequest {}, &credential)).await.unwrap_err(),
        ];
        for status in refusals {
            assert_eq!(details(&status).reason, reason);
        }
    }
    assert_eq!(refusal(admin.list_callers(v1::ListCallersRequest::default()).await).reason, "CREDENTIALS_MISSING");
    let helper = create(&app, named("operator", &[Permission::Admin])).await.api_key;
    admin.list_callers(bearer(v1::ListCallersRequest::default(), &helper)).await.unwrap();
    app.stop().await;
}
