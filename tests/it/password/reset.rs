//! Forgotten passwords: links and codes.

use countersign::model::Content;
use countersign::proto::v1;
use countersign::proto::v1::OtpPurpose;
use countersign::proto::v1::reset_password_request::Proof;
use futures_util::future::join_all;
use tonic::{Response, Status};

use super::{OTHER, PASSWORD, UNLIMITED, challenge, is_usable, log_in, reason, register, registration, somebody};
use crate::harness::database::block;
use crate::harness::{
    Backend, TestApp, bearer, details, figure, login, mail_address, on_both_backends, phone_number, request_id,
};

on_both_backends!(
    a_link_sets_a_password_and_ends_all_sessions,
    a_code_does_the_same,
    a_link_leads_only_where_the_configuration_says,
    one_intent_sends_one_link,
    nobody_hears_of_strangers_and_unproved_addresses,
    an_unfit_password_costs_no_proof,
    a_link_dies_with_its_time_and_its_password,
    a_link_dies_with_the_address_it_went_to,
    a_blocked_account_stays_as_it_is,
    a_link_that_was_promised_leaves_before_the_node,
    o13_a_thousand_replays_set_one_password,
);

const URL: (&str, &str) = ("password.reset_url", "https://example.org/set#{token}");

async fn ask(app: &TestApp, identifier: v1::Identifier, intent: &str) -> Result<(), Status> {
    let request = v1::RequestPasswordResetRequest {
        identifier: Some(identifier),
        request_id: intent.to_owned(),
        ..Default::default()
    };
    app.node().auth().request_password_reset(request).await.map(drop)
}

/// What the last link to somebody carries, once there are so many.
async fn token(app: &TestApp, to: &str, at_least: usize) -> String {
    for _ in 0..500 {
        let sent: Vec<_> = app
            .messages_to(to)
            .into_iter()
            .filter_map(|message| match message.content {
                Content::PasswordReset { url, .. } => Some(url.expose().clone()),
                _ => None,
            })
            .collect();
        if sent.len() >= at_least {
            return sent.last().unwrap().strip_prefix("https://example.org/set#").unwrap().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("fewer than {at_least} links were sent to {to}: {:?}", app.messages_to(to));
}

async fn set(app: &TestApp, proof: Proof, new: &str) -> Result<(), Status> {
    let request = v1::ResetPasswordRequest { proof: Some(proof), new_password: new.to_owned(), client: None };
    app.node().auth().reset_password(request).await.map(drop)
}

async fn code_for(app: &TestApp, phone: &str) -> Proof {
    let id = challenge(app, phone_number(phone), OtpPurpose::ResetPassword).await.challenge_id;
    let code = app.code(&id).await;
    Proof::Otp(v1::OtpCredential { challenge_id: id, code })
}

/// Somebody with a mail address and a password.
async fn by_mail(app: &TestApp, email: &str) -> v1::Tokens {
    let request = registration(app, mail_address(email)).await;
    let request = v1::RegisterRequest { password: PASSWORD.to_owned(), first_name: "Sara".to_owned(), ..request };
    register(app, request).await.unwrap().tokens.unwrap()
}

async fn a_link_sets_a_password_and_ends_all_sessions(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    let mail = by_mail(&app, "sara@example.org").await;
    let phone = somebody(&app, "09121234567", PASSWORD).await.tokens.unwrap();
    for (identifier, to, tokens) in [
        (mail_address("Sara@Example.org"), "sara@example.org", mail),
        (phone_number("0912 123 4567"), "+989121234567", phone),
    ] {
        ask(&app, identifier, "").await.unwrap();
        let token = token(&app, to, 1).await;
        set(&app, Proof::ResetToken(token.clone()), OTHER).await.unwrap();
        assert!(!is_usable(&app, &tokens).await);
        app.message_to(to, "password_changed").await;
        assert_eq!(reason(set(&app, Proof::ResetToken(token), PASSWORD).await), "INVALID_CREDENTIALS");
    }
    assert_eq!(reason(log_in(&app, "09121234567", PASSWORD).await), "INVALID_CREDENTIALS");
    log_in(&app, "09121234567", OTHER).await.unwrap();
    assert_eq!(app.rows("events WHERE kind = 'account.password_changed'").await, 2);
    app.stop().await;
}

async fn a_code_does_the_same(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09121234567").await;
    let proof = code_for(&app, "09121234567").await;
    // It is good for nothing else.
    let Proof::Otp(otp) = &proof else { unreachable!() };
    let outcome = app.node().auth().login(login(&otp.challenge_id, &otp.code)).await;
    assert_eq!(reason(outcome), "INVALID_CREDENTIALS");
    set(&app, proof.clone(), PASSWORD).await.unwrap();
    assert!(!app.is_active(&person.access_token).await);
    log_in(&app, "09121234567", PASSWORD).await.unwrap();
    assert_eq!(reason(set(&app, proof, OTHER).await), "INVALID_CREDENTIALS");
    // A code to sign in with sets no password.
    let id = app.challenge("09121234567").await.challenge_id;
    let code = app.code(&id).await;
    let other = Proof::Otp(v1::OtpCredential { challenge_id: id, code });
    assert_eq!(reason(set(&app, other, OTHER).await), "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn a_link_leads_only_where_the_configuration_says(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    by_mail(&app, "sara@example.org").await;
    let request = v1::RequestPasswordResetRequest {
        identifier: Some(mail_address("sara@example.org")),
        client: Some(v1::ClientContext {
            user_agent: "https://evil.example/{token}".to_owned(),
            device_name: "evil.example".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut request = bearer(request, &app.api_key);
    for name in ["host", "x-forwarded-host", "origin", "referer"] {
        request.metadata_mut().insert(name, "evil.example".parse().unwrap());
    }
    app.node().auth().request_password_reset(request).await.unwrap();
    let token = token(&app, "sara@example.org", 1).await;
    // 32 bytes of chance, and nothing but them.
    assert_eq!(token.len(), 43);
    assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    app.stop().await;

    let app = TestApp::new(backend).await;
    by_mail(&app, "sara@example.org").await;
    for email in ["sara@example.org", "nobody@example.org"] {
        assert_eq!(reason(ask(&app, mail_address(email), "").await), "RESET_NOT_OFFERED");
    }
    app.stop().await;
}

async fn one_intent_sends_one_link(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    by_mail(&app, "sara@example.org").await;
    let intent = request_id();
    let asked = join_all((0..8).map(|_| ask(&app, mail_address("sara@example.org"), &intent))).await;
    // Those at once count one by one against the limit, and are otherwise the same.
    assert!(asked.iter().any(Result::is_ok));
    ask(&app, mail_address("sara@example.org"), &intent).await.unwrap();
    assert_eq!(reason(ask(&app, mail_address("ali@example.org"), &intent).await), "REQUEST_ID_REUSED");
    token(&app, "sara@example.org", 1).await;
    app.advance(3600);
    ask(&app, mail_address("sara@example.org"), &request_id()).await.unwrap();
    token(&app, "sara@example.org", 2).await;
    // One code, one link of the intent, and the last one.
    assert_eq!(app.messages_so_far(), 3);
    app.stop().await;
}

async fn nobody_hears_of_strangers_and_unproved_addresses(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    let request = registration(&app, phone_number("09121234567")).await;
    let second = Some(v1::register_request::Second::Email("sara@example.org".to_owned()));
    let request = v1::RegisterRequest { password: PASSWORD.to_owned(), second, ..request };
    register(&app, request).await.unwrap();
    by_mail(&app, "ali@example.org").await;
    // Said only; unknown; known.
    for email in ["sara@example.org", "nobody@example.org", "ali@example.org"] {
        ask(&app, mail_address(email), "").await.unwrap();
        challenge(&app, mail_address(email), OtpPurpose::ResetPassword).await;
    }
    token(&app, "ali@example.org", 1).await;
    app.message_to("ali@example.org", "code").await;
    for email in ["sara@example.org", "nobody@example.org"] {
        assert!(app.messages_to(email).is_empty(), "{email}");
    }
    app.stop().await;
}

async fn an_unfit_password_costs_no_proof(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    by_mail(&app, "sara@example.org").await;
    somebody(&app, "09121234567", PASSWORD).await;
    ask(&app, mail_address("sara@example.org"), "").await.unwrap();
    let link = Proof::ResetToken(token(&app, "sara@example.org", 1).await);
    let code = code_for(&app, "09121234567").await;
    for (proof, personal) in [(link, "sara@example.org"), (code, "09121234567")] {
        for new in ["", "short", "password1", personal] {
            let told = details(&set(&app, proof.clone(), new).await.unwrap_err());
            assert_eq!((told.reason.as_str(), told.fields), ("PASSWORD_UNFIT", vec!["new_password".to_owned()]));
        }
        set(&app, proof, OTHER).await.unwrap();
    }
    let none = v1::ResetPasswordRequest { new_password: OTHER.to_owned(), ..Default::default() };
    assert_eq!(details(&app.node().auth().reset_password(none).await.unwrap_err()).fields, ["proof"]);
    app.stop().await;
}

async fn a_link_dies_with_its_time_and_its_password(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    let tokens = by_mail(&app, "sara@example.org").await;
    for (number, seconds) in [(1, 1_800), (2, 0)] {
        ask(&app, mail_address("sara@example.org"), "").await.unwrap();
        let link = Proof::ResetToken(token(&app, "sara@example.org", number).await);
        if seconds == 0 {
            let request = super::with_password(mail_address("sara@example.org"), PASSWORD);
            let now = app.node().auth().login(request).await.map(Response::into_inner).unwrap().tokens.unwrap();
            let change = v1::ChangePasswordRequest {
                current_password: PASSWORD.to_owned(),
                new_password: OTHER.to_owned(),
                keep_current_session: true,
            };
            app.node().auth().change_password(bearer(change, &now.access_token)).await.unwrap();
        }
        app.advance(seconds);
        assert_eq!(reason(set(&app, link, "three herons in a row").await), "INVALID_CREDENTIALS");
    }
    for token in ["x", "csr_x", &"A".repeat(43)] {
        assert_eq!(reason(set(&app, Proof::ResetToken(token.to_owned()), OTHER).await), "INVALID_CREDENTIALS");
    }
    assert!(!is_usable(&app, &tokens).await);
    app.stop().await;
}

/// Whoever reads a mailbox that the owner has given up finds nothing of use there.
async fn a_link_dies_with_the_address_it_went_to(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    let tokens = by_mail(&app, "old@example.org").await;
    ask(&app, mail_address("old@example.org"), "").await.unwrap();
    let link = Proof::ResetToken(token(&app, "old@example.org", 1).await);
    let id = challenge(&app, mail_address("new@example.org"), OtpPurpose::ChangeIdentifier).await.challenge_id;
    let change = v1::ChangeIdentifierRequest { code: app.code(&id).await, challenge_id: id };
    app.node().accounts().change_identifier(bearer(change, &tokens.access_token)).await.unwrap();
    assert_eq!(reason(set(&app, link, OTHER).await), "INVALID_CREDENTIALS");
    assert!(is_usable(&app, &tokens).await);
    // One that went to the new one serves.
    ask(&app, mail_address("new@example.org"), "").await.unwrap();
    set(&app, Proof::ResetToken(token(&app, "new@example.org", 1).await), OTHER).await.unwrap();
    app.stop().await;
}

async fn a_blocked_account_stays_as_it_is(backend: Backend) {
    let app = TestApp::with(backend, &[URL]).await;
    let account = somebody(&app, "09121234567", PASSWORD).await.account.unwrap();
    ask(&app, phone_number("09121234567"), "").await.unwrap();
    let link = Proof::ResetToken(token(&app, "+989121234567", 1).await);
    let code = code_for(&app, "09121234567").await;
    block(&app.node().app().store, account.account_id.parse().unwrap(), app.now()).await;
    for proof in [link, code] {
        assert_eq!(reason(set(&app, proof, OTHER).await), "ACCOUNT_BLOCKED");
    }
    assert_eq!(app.rows("events WHERE kind = 'account.password_changed'").await, 0);
    app.stop().await;
}

/// Threat O13.
/// The link is made behind the caller's back, after the answer.
async fn a_link_that_was_promised_leaves_before_the_node(backend: Backend) {
    let mut app = TestApp::with(backend, &[URL]).await;
    by_mail(&app, "mina@example.com").await;
    ask(&app, mail_address("mina@example.com"), "").await.unwrap();
    app.restart_with("password.reset_lifetime", "20m").await;
    let sent = app.messages_to("mina@example.com");
    assert!(sent.iter().any(|message| matches!(message.content, Content::PasswordReset { .. })), "{sent:?}");
    app.stop().await;
}

async fn o13_a_thousand_replays_set_one_password(backend: Backend) {
    let settings: Vec<_> = UNLIMITED.iter().copied().chain([URL, ("password.queue", "5000")]).collect();
    let app = TestApp::with(backend, &settings).await;
    somebody(&app, "09121234567", PASSWORD).await;
    ask(&app, phone_number("09121234567"), "").await.unwrap();
    let link = Proof::ResetToken(token(&app, "+989121234567", 1).await);
    let code = code_for(&app, "09121234567").await;
    for proof in [link, code] {
        let mut taken = 0;
        for _ in 0..figure(20, 4) {
            let outcomes = join_all((0..50).map(|_| set(&app, proof.clone(), OTHER))).await;
            for outcome in outcomes {
                match outcome {
                    Ok(()) => taken += 1,
                    refused => assert_eq!(reason(refused), "INVALID_CREDENTIALS"),
                }
            }
        }
        assert_eq!(taken, 1);
    }
    assert_eq!(app.rows("events WHERE kind = 'account.password_changed'").await, 2);
    app.stop().await;
}
