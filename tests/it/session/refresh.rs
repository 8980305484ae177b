//! Carrying a session on: who gets which successor, until when, and what the new tokens say.

use countersign::model::SessionId;
use countersign::proto::v1;
use countersign::random::Random;

use super::{introspect, newcomer, reason, refresh, refresh_on, session_of};
use crate::harness::database::{events_about, execute, number};
use crate::harness::{Backend, TestApp, details, on_both_backends, request_id};

on_both_backends!(
    an_intent_gets_the_same_successor_at_any_time,
    a_token_just_replaced_gets_the_current_pair,
    a_token_replaced_before_that_ends_the_session,
    the_token_before_the_last_ends_the_session_at_once,
    an_end_that_came_by_itself_is_no_theft,
    what_we_did_not_seal_never_reaches_the_database,
    a_malformed_request_is_told_so,
    idle_and_absolute_limits_are_exact,
    no_access_token_outlives_its_session,
    roles_are_read_afresh,
);

async fn an_intent_gets_the_same_successor_at_any_time(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let intent = request_id();
    let first = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    for seconds in [0, 1, 29, 2, 3_600, 20 * 86_400] {
        app.advance(seconds);
        let again = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
        assert_eq!(again.refresh_token, first.refresh_token);
        assert_eq!(again.refresh_expires_at, first.refresh_expires_at);
        assert!(app.is_active(&again.access_token).await);
    }
    let next = refresh(&app, &first.refresh_token).await.unwrap();
    assert_ne!(next.refresh_token, first.refresh_token);

    // One name for two steps of a session is no repetition of either.
    let intent = request_id();
    let second = refresh_on(app.node(), &next.refresh_token, &intent).await.unwrap();
    let third = refresh_on(app.node(), &second.refresh_token, &intent).await.unwrap();
    assert_ne!(third.refresh_token, second.refresh_token);
    app.stop().await;
}

async fn a_token_just_replaced_gets_the_current_pair(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let first = refresh_on(app.node(), &person.refresh_token, &request_id()).await.unwrap();
    app.advance(29);
    for intent in [String::new(), request_id()] {
        let again = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
        assert_eq!(again.refresh_token, first.refresh_token);
        assert!(app.is_active(&again.access_token).await);
    }
    app.stop().await;
}

async fn a_token_replaced_before_that_ends_the_session(backend: Backend) {
    let app = TestApp::new(backend).await;
    for intent in [String::new(), request_id()] {
        let person = newcomer(&app).await;
        let first = refresh_on(app.node(), &person.refresh_token, &request_id()).await.unwrap();
        app.advance(30);
        let outcome = refresh_on(app.node(), &person.refresh_token, &intent).await;
        assert_eq!(reason(outcome), "REFRESH_TOKEN_REUSED");
        expect_dead(&app, &[&person.access_token, &first.access_token], &[&first.refresh_token]).await;
        let session = session_of(&app, &first.access_token);
        assert_eq!(reason(refresh(&app, &person.refresh_token).await), "SESSION_ENDED");
        let store = &app.node().app().store;
        assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 1);
        assert_eq!(events_about(store, session, "session.ended").await, 0);
    }
    app.stop().await;
}

async fn the_token_before_the_last_ends_the_session_at_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let intent = request_id();
    let first = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    let second = refresh(&app, &first.refresh_token).await.unwrap();
    // Neither the grace of a moment nor the name of the intent helps two steps back.
    let outcome = refresh_on(app.node(), &person.refresh_token, &intent).await;
    assert_eq!(reason(outcome), "REFRESH_TOKEN_REUSED");
    let access = [&person.access_token, &first.access_token, &second.access_token];
    expect_dead(&app, &access, &[&first.refresh_token, &second.refresh_token]).await;
    app.stop().await;
}

async fn an_end_that_came_by_itself_is_no_theft(backend: Backend) {
    let app = TestApp::new(backend).await;
    let store = &app.node().app().store;
    let intent = request_id();

    // The session has expired before the client asks again for what it did not hear.
    let person = newcomer(&app).await;
    let session = session_of(&app, &person.access_token);
    refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    app.advance(30 * 86_400);
    assert_eq!(reason(refresh_on(app.node(), &person.refresh_token, &intent).await), "SESSION_ENDED");
    assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 0);

    // The account has been blocked.
    let person = newcomer(&app).await;
    let session = session_of(&app, &person.access_token);
    let intent = request_id();
    refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    execute(store, "UPDATE accounts SET state = 'blocked' WHERE id = $1", &[person.account_id.parse().unwrap()]).await;
    for intent in [intent.as_str(), ""] {
        assert_eq!(reason(refresh_on(app.node(), &person.refresh_token, intent).await), "SESSION_ENDED");
    }
    assert_eq!(events_about(store, session, "session.refresh_token_reused").await, 0);
    app.stop().await;
}

async fn what_we_did_not_seal_never_reaches_the_database(backend: Backend) {
    let app = TestApp::new(backend).await;
    let other = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let foreign = newcomer(&other).await.refresh_token;
    let sealed_elsewhere = other.node().app().sessions.refresh_tokens.seal(session_of(&app, &person.access_token), 1);
    let mut last_changed = person.refresh_token.clone();
    let last = if last_changed.pop() == Some('A') { 'B' } else { 'A' };
    last_changed.push(last);
    // From here on, whatever asks the database gets an error.
    app.node().shut_database().await;
    let unknown_kind = person.refresh_token.replacen("csr_", "csk_", 1);
    for token in ["", "csr_", "x", &"csr_".repeat(128), &"A".repeat(4_000), &foreign, sealed_elsewhere.expose()]
        .into_iter()
        .chain([last_changed.as_str(), &unknown_kind, &person.access_token])
    {
        assert_eq!(reason(refresh(&app, token).await), "REFRESH_TOKEN_INVALID", "{token}");
    }
    assert_eq!(reason(refresh(&app, &person.refresh_token).await), "DEPENDENCY_UNAVAILABLE");
}

async fn a_malformed_request_is_told_so(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let request = v1::RefreshRequest {
        refresh_token: person.refresh_token.clone(),
        request_id: "not a uuid".to_owned(),
        client: Some(v1::ClientContext {
            ip: "300.1.1.1".to_owned(),
            user_agent: "x".repeat(513),
            device_id: "a\nb".to_owned(),
            device_name: "x".repeat(129),
        }),
    };
    let refused = details(&app.node().tokens().refresh(request).await.unwrap_err());
    assert_eq!(refused.reason, "INVALID_FIELD");
    let fields = ["client.ip", "client.user_agent", "client.device_id", "client.device_name", "request_id"];
    assert_eq!(refused.fields, fields);
    // Nothing has come of it.
    refresh(&app, &person.refresh_token).await.unwrap();
    app.stop().await;
}

async fn idle_and_absolute_limits_are_exact(backend: Backend) {
    let settings =
        [("session.idle_lifetime", "60s"), ("session.absolute_lifetime", "150s"), ("token.access_lifetime", "50s")];
    let app = TestApp::with(backend, &settings).await;
    let idle = newcomer(&app).await;
    app.advance(59);
    let next = refresh(&app, &idle.refresh_token).await.unwrap();
    app.advance(60);
    assert_eq!(reason(refresh(&app, &next.refresh_token).await), "SESSION_ENDED");

    let mut busy = newcomer(&app).await.refresh_token;
    for seconds in [50, 50, 49] {
        app.advance(seconds);
        busy = refresh(&app, &busy).await.unwrap().refresh_token;
    }
    app.advance(1);
    assert_eq!(reason(refresh(&app, &busy).await), "SESSION_ENDED");
    app.stop().await;
}

async fn no_access_token_outlives_its_session(backend: Backend) {
    let settings =
        [("session.idle_lifetime", "100s"), ("session.absolute_lifetime", "150s"), ("token.access_lifetime", "90s")];
    let app = TestApp::with(backend, &settings).await;
    let person = newcomer(&app).await;
    let absolute_end = app.now().timestamp() + 150;
    app.advance(80);
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    assert_eq!(next.access_expires_at.unwrap().seconds, absolute_end);
    assert_eq!((introspect(&app, &next.access_token).await.exp, next.expires_in), (absolute_end, 70));
    assert_eq!(next.refresh_expires_at.unwrap().seconds, absolute_end);

    // A repetition moves the session's end by nothing, and so its token's neither.
    let person = newcomer(&app).await;
    let intent = request_id();
    let next = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    app.advance(40);
    let again = refresh_on(app.node(), &person.refresh_token, &intent).await.unwrap();
    assert_eq!(again.access_expires_at, next.refresh_expires_at);
    let session = session_of(&app, &again.access_token);
    let query = "SELECT COUNT(*) FROM sessions WHERE id = $1 AND access_expires_at > expires_at";
    assert_eq!(number(&app.node().app().store, query, &[session.0]).await, 0);
    app.stop().await;
}

async fn roles_are_read_afresh(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    assert!(introspect(&app, &person.access_token).await.roles.is_empty());
    let store = &app.node().app().store;
    let account = [person.account_id.parse().unwrap()];
    execute(store, "UPDATE accounts SET roles = 'admin editor' WHERE id = $1", &account).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    assert_eq!(introspect(&app, &next.access_token).await.roles, ["admin", "editor"]);
    execute(store, "UPDATE accounts SET roles = '' WHERE id = $1", &account).await;
    // A repetition says what is true now, not what was true then.
    let again = refresh(&app, &person.refresh_token).await.unwrap();
    assert!(introspect(&app, &again.access_token).await.roles.is_empty());
    app.stop().await;
}

/// None of these counts any more.
async fn expect_dead(app: &TestApp, access: &[&String], refresh_tokens: &[&String]) {
    for token in access {
        assert!(!app.is_active(token).await);
    }
    for token in refresh_tokens {
        assert_eq!(reason(refresh(app, token).await), "SESSION_ENDED");
    }
    // What never was a session looks the same as one that has ended.
    let unknown = SessionId(Random.id(app.now()));
    let token = app.node().app().sessions.refresh_tokens.seal(unknown, 1);
    assert_eq!(reason(refresh(app, token.expose()).await), "SESSION_ENDED");
}
