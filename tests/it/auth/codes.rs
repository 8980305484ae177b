//! A code is asked for, arrives, and is exchanged for a session once.

use countersign::proto::v1;
use tonic::Code;

use super::{ask, enter, entry_refused, other_code, refusal, seconds};
use crate::harness::{Backend, TestApp, bearer, login, mail_address, on_both_backends, phone_number, request_id};

on_both_backends!(
    a_phone_number_opens_an_account_and_then_finds_it,
    a_mailbox_opens_an_account_and_then_finds_it,
    digits_of_every_keyboard_are_read,
    a_code_expires_to_the_second,
    all_that_does_not_count_looks_the_same,
    a_code_travels_only_by_the_channel_that_fits_and_is_offered,
);

async fn a_phone_number_opens_an_account_and_then_finds_it(backend: Backend) {
    let app = TestApp::new(backend).await;
    let challenge = app.challenge("0912 123 4567").await;
    let now = app.now().timestamp();
    assert_eq!((seconds(challenge.expires_at), seconds(challenge.resend_at)), (now + 120, now + 60));
    assert_eq!((challenge.code_length, challenge.channel()), (6, v1::OtpChannel::Sms));
    assert_eq!(challenge.masked_destination, "+98*******67");

    let code = app.code(&challenge.challenge_id).await;
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    let first = enter(&app, &challenge.challenge_id, &code).await.unwrap();
    let (tokens, account) = (first.tokens.unwrap(), first.account.unwrap());
    assert!(first.created);
    assert_eq!((account.phone.as_str(), account.phone_verified), ("+989121234567", true));
    assert_eq!((account.email.as_str(), account.email_verified), ("", false));
    assert_eq!(account.state(), v1::AccountState::Active);
    assert_eq!((seconds(account.created_at), seconds(account.last_login_at)), (now, now));
    assert_eq!((tokens.token_type.as_str(), tokens.expires_in), ("Bearer", 300));
    assert_eq!(seconds(tokens.access_expires_at), now + 300);
    assert_eq!(seconds(tokens.refresh_expires_at), now + 30 * 86_400);
    assert!(app.is_active(&tokens.access_token).await);

    app.advance(1);
    let challenge = app.challenge("+98-912-123-4567").await;
    let code = app.code(&challenge.challenge_id).await;
    let second = enter(&app, &challenge.challenge_id, &code).await.unwrap();
    let again = second.account.unwrap();
    assert!(!second.created);
    assert_eq!(again.account_id, account.account_id);
    assert_eq!((seconds(again.created_at), seconds(again.last_login_at)), (now, now + 1));
    app.stop().await;
}

async fn a_mailbox_opens_an_account_and_then_finds_it(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut accounts = Vec::new();
    for (address, created) in [("Ali@Example.com", true), (" ali@eXAMPLE.COM ", false)] {
        let request = v1::RequestOtpRequest {
            identifier: Some(mail_address(address)),
            purpose: v1::OtpPurpose::SignIn.into(),
            channel: v1::OtpChannel::Email.into(),
            ..Default::default()
        };
        let challenge = app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap();
        assert_eq!(challenge.channel(), v1::OtpChannel::Email);
        assert_eq!(challenge.masked_destination, "a***@example.com");
        let code = app.code(&challenge.challenge_id).await;
        let answer = enter(&app, &challenge.challenge_id, &code).await.unwrap();
        let account = answer.account.unwrap();
        assert_eq!(answer.created, created);
        assert_eq!((account.email.as_str(), account.email_verified), ("ali@example.com", true));
        assert_eq!((account.phone.as_str(), account.phone_verified), ("", false));
        accounts.push(account.account_id);

        let request = v1::IntrospectRequest { token: answer.tokens.unwrap().access_token, ..Default::default() };
        let seen = app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner();
        assert_eq!(seen.amr, ["otp"]);
    }
    assert_eq!(accounts[0], accounts[1]);
    app.stop().await;
}

async fn digits_of_every_keyboard_are_read(backend: Backend) {
    let app = TestApp::new(backend).await;
    let written_from = |zero: u32, text: &str| -> String {
        text.chars().map(|c| c.to_digit(10).map_or(c, |digit| char::from_u32(zero + digit).unwrap())).collect()
    };
    let mut accounts = Vec::new();
    for zero in [u32::from('0'), u32::from('۰'), u32::from('٠')] {
        let challenge = app.challenge(&written_from(zero, "0912 123 4567")).await;
        let code = app.code(&challenge.challenge_id).await;
        let answer = enter(&app, &challenge.challenge_id, &written_from(zero, &code)).await.unwrap();
        accounts.push(answer.account.unwrap().account_id);
    }
    accounts.dedup();
    assert_eq!(accounts.len(), 1);
    app.stop().await;
}

async fn a_code_expires_to_the_second(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (first, second) = (app.challenge("09121234567").await, app.challenge("09121234568").await);
    let (code, late) = (app.code(&first.challenge_id).await, app.code(&second.challenge_id).await);
    app.advance(119);
    enter(&app, &first.challenge_id, &code).await.unwrap();
    app.advance(1);
    assert_eq!(entry_refused(&app, &second.challenge_id, &late).await, "INVALID_CREDENTIALS");
    app.stop().await;
}

async fn all_that_does_not_count_looks_the_same(backend: Backend) {
    let app = TestApp::with(backend, &[("limits.failed_codes.count", "100")]).await;
    let used = app.challenge("09121234567").await.challenge_id;
    let used_code = app.code(&used).await;
    enter(&app, &used, &used_code).await.unwrap();
    let expired = app.challenge("09121234568").await.challenge_id;
    let expired_code = app.code(&expired).await;
    app.advance(120);
    let open = app.challenge("09121234569").await.challenge_id;
    let code = app.code(&open).await;
    let guessed_out = app.challenge("09121234560").await.challenge_id;
    let right = app.code(&guessed_out).await;
    for step in 1..=5 {
        entry_refused(&app, &guessed_out, &other_code(&right, step)).await;
    }

    let refused = [
        ("wrong", login(&open, &other_code(&code, 1))),
        ("wrong, for an intent", v1::LoginRequest { request_id: request_id(), ..login(&open, &other_code(&code, 2)) }),
        ("unknown", login(&request_id(), &code)),
        ("used", login(&used, &used_code)),
        ("expired", login(&expired, &expired_code)),
        ("right, but too late", login(&guessed_out, &right)),
        ("another challenge's", login(&open, &right)),
    ];
    let mut seen = Vec::new();
    for (what, request) in refused {
        let status = app.node().auth().login(request).await.expect_err(what);
        seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
        assert_eq!(seen[0], *seen.last().unwrap(), "{what}");
    }
    assert_eq!(seen[0].0, Code::Unauthenticated);
    app.stop().await;
}

async fn a_code_travels_only_by_the_channel_that_fits_and_is_offered(backend: Backend) {
    let app = TestApp::with(backend, &[("notify.email", "none")]).await;
    let over = |identifier, channel: v1::OtpChannel| v1::RequestOtpRequest {
        identifier: Some(identifier),
        channel: channel.into(),
        ..Default::default()
    };
    let phone = phone_number("09121234567");
    let cases = [
        (over(phone.clone(), v1::OtpChannel::Email), ["channel"]),
        (over(mail_address("ali@example.com"), v1::OtpChannel::Sms), ["channel"]),
        (over(mail_address("ali@example.com"), v1::OtpChannel::Email), ["identifier"]),
        (over(mail_address("ali@example.com"), v1::OtpChannel::Unspecified), ["identifier"]),
    ];
    for (request, fields) in cases {
        let refused = refusal(app.node().auth().request_otp(request).await);
        assert_eq!(
            (refused.reason.as_str(), refused.fields.as_slice()),
            ("INVALID_FIELD", &fields.map(str::to_owned)[..])
        );
    }
    app.node().auth().request_otp(over(phone, v1::OtpChannel::Sms)).await.unwrap();
    app.node().auth().request_otp(ask("09121234567")).await.unwrap();
    app.stop().await;
}
