//! Looking at one's sessions, and ending one of them from another.

use countersign::proto::v1;

use super::{log_out, newcomer, reason, refresh, session_of};
use crate::harness::{Backend, Person, TestApp, bearer, details, login, on_both_backends, request_id};

on_both_backends!(
    sessions_are_listed_with_their_devices,
    sessions_come_in_pages,
    what_has_ended_or_expired_is_not_listed,
    an_owner_ends_one_of_their_sessions,
    nobody_ends_a_session_of_somebody_else,
    a_malformed_page_or_session_is_told_so,
);

async fn list(app: &TestApp, person: &Person, page_size: i32, page_token: &str) -> v1::ListSessionsResponse {
    let request = v1::ListSessionsRequest { page_size, page_token: page_token.to_owned() };
    app.node().accounts().list_sessions(bearer(request, &person.access_token)).await.unwrap().into_inner()
}

async fn end(app: &TestApp, person: &Person, session_id: &str) -> Result<(), tonic::Status> {
    let request = v1::RevokeSessionRequest { session_id: session_id.to_owned() };
    app.node().accounts().revoke_session(bearer(request, &person.access_token)).await.map(drop)
}

async fn sessions_are_listed_with_their_devices(backend: Backend) {
    let app = TestApp::new(backend).await;
    let first = app.sign_in("09121234567").await;
    app.advance(60);
    let challenge = app.challenge("09121234567").await;
    let mut request = login(&challenge.challenge_id, &app.code(&challenge.challenge_id).await);
    request.client = Some(v1::ClientContext {
        ip: "2001:db8::7".to_owned(),
        user_agent: "App/1 (گوشی)".to_owned(),
        device_id: "d-1".to_owned(),
        device_name: "تلفن من 📱".to_owned(),
    });
    app.node().auth().login(bearer(request, &app.api_key)).await.unwrap();

    let listed = list(&app, &first, 0, "").await;
    assert_eq!(listed.next_page_token, "");
    let [phone, own] = listed.sessions.as_slice() else { panic!("{listed:?}") };
    assert_eq!((own.session_id.parse(), own.current), (Ok(session_of(&app, &first.access_token)), true));
    assert_eq!((own.ip.as_str(), own.device_name.as_str()), ("127.0.0.1", ""));
    assert!(!phone.current);
    assert_eq!(phone.account_id, first.account_id);
    assert_eq!(phone.ip, "2001:db8::7");
    assert_eq!((phone.device_id.as_str(), phone.device_name.as_str()), ("d-1", "تلفن من 📱"));
    assert_eq!((phone.user_agent.as_str(), phone.amr.join(" ")), ("App/1 (گوشی)", "otp sms".to_owned()));
    assert_eq!(phone.created_at.unwrap().seconds, app.now().timestamp());
    assert_eq!(phone.expires_at.unwrap().seconds, app.now().timestamp() + 30 * 86_400);

    app.advance(60);
    refresh(&app, &first.refresh_token).await.unwrap();
    let own = list(&app, &first, 0, "").await.sessions.pop().unwrap();
    assert_eq!(own.last_used_at.unwrap().seconds - own.created_at.unwrap().seconds, 120);
    app.stop().await;
}

async fn sessions_come_in_pages(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut expected = Vec::new();
    let mut person = None;
    for _ in 0..7 {
        app.advance(1);
        let signed_in = app.sign_in("09121234567").await;
        expected.insert(0, session_of(&app, &signed_in.access_token).to_string());
        person = Some(signed_in);
    }
    newcomer(&app).await;
    let person = person.unwrap();
    for size in [1, 3, 7, 200, i32::MAX] {
        let (mut seen, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = list(&app, &person, size, &token).await;
            pages += 1;
            seen.extend(page.sessions.into_iter().map(|session| session.session_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, expected, "pages of {size}");
        assert_eq!(pages, 7_usize.div_ceil(usize::try_from(size).unwrap()));
    }
    app.stop().await;
}

async fn what_has_ended_or_expired_is_not_listed(backend: Backend) {
    let app = TestApp::with(backend, &[("session.idle_lifetime", "10m")]).await;
    let ended = app.sign_in("09121234567").await;
    log_out(&app, &ended.access_token).await;
    app.sign_in("09121234567").await;
    app.advance(540);
    let person = app.sign_in("09121234567").await;
    assert_eq!(list(&app, &person, 0, "").await.sessions.len(), 2);
    app.advance(60);
    assert_eq!(list(&app, &person, 0, "").await.sessions.len(), 1);
    app.stop().await;
}

async fn an_owner_ends_one_of_their_sessions(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (this, other) = (app.sign_in("09121234567").await, app.sign_in("09121234567").await);
    let session = session_of(&app, &other.access_token).to_string();
    // Identifiers are read in either case.
    end(&app, &this, &session.to_uppercase()).await.unwrap();
    assert!(!app.is_active(&other.access_token).await);
    assert_eq!(reason(refresh(&app, &other.refresh_token).await), "SESSION_ENDED");
    assert_eq!(reason(end(&app, &this, &session).await), "SESSION_NOT_FOUND");
    assert_eq!(reason(end(&app, &this, &request_id()).await), "SESSION_NOT_FOUND");
    // One may also end the session one is in.
    end(&app, &this, &session_of(&app, &this.access_token).to_string()).await.unwrap();
    assert!(!app.is_active(&this.access_token).await);
    assert_eq!(reason(end(&app, &this, &session).await), "ACCESS_TOKEN_INVALID");
    app.stop().await;
}

async fn nobody_ends_a_session_of_somebody_else(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (attacker, victim) = (newcomer(&app).await, newcomer(&app).await);
    let session = session_of(&app, &victim.access_token).to_string();
    assert_eq!(reason(end(&app, &attacker, &session).await), "SESSION_NOT_FOUND");
    assert!(app.is_active(&victim.access_token).await);
    refresh(&app, &victim.refresh_token).await.unwrap();
    app.stop().await;
}

async fn a_malformed_page_or_session_is_told_so(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    for (page_size, page_token, field) in [(-1, "", "page_size"), (1, "!", "page_token"), (1, "AAAA", "page_token")] {
        let request =
            bearer(v1::ListSessionsRequest { page_size, page_token: page_token.to_owned() }, &person.access_token);
        let refused = details(&app.node().accounts().list_sessions(request).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec![field.to_owned()]));
    }
    for session in ["", "x", "'; DROP TABLE sessions; --"] {
        let refused = details(&end(&app, &person, session).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["session_id".to_owned()]));
    }
    app.stop().await;
}
