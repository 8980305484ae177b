//! The main path from end to end: a code, a session, a check, a refresh, an end.

use countersign::proto::v1;

use crate::harness::{Backend, TestApp, bearer, details, on_both_backends};

on_both_backends!(a_session_lives_from_code_to_logout);

async fn a_session_lives_from_code_to_logout(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("0912 123 4567").await;

    let request = v1::IntrospectRequest { token: person.access_token.clone(), ..Default::default() };
    let seen = app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner();
    assert!(seen.active);
    assert_eq!((seen.sub.as_str(), seen.token_type.as_str()), (person.account_id.as_str(), "Bearer"));
    assert_eq!((seen.expires_in, seen.amr), (300, vec!["otp".to_owned(), "sms".to_owned()]));

    let request = bearer(v1::GetProfileRequest {}, &person.access_token);
    let profile = app.node().accounts().get_profile(request).await.unwrap().into_inner().account.unwrap();
    assert_eq!((profile.phone.as_str(), profile.phone_verified), ("+989121234567", true));

    let request = v1::RefreshRequest { refresh_token: person.refresh_token.clone(), ..Default::default() };
    let next = app.node().tokens().refresh(request).await.unwrap().into_inner().tokens.unwrap();
    assert_ne!(next.refresh_token, person.refresh_token);
    assert!(app.is_active(&next.access_token).await);

    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &next.access_token)).await.unwrap();
    assert!(!app.is_active(&next.access_token).await);
    assert!(!app.is_active(&person.access_token).await);
    let request = v1::RefreshRequest { refresh_token: next.refresh_token, ..Default::default() };
    let refused = app.node().tokens().refresh(request).await.unwrap_err();
    assert_eq!(details(&refused).reason, "SESSION_ENDED");
    app.stop().await;
}
