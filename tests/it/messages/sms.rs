//! What Kavenegar and Twilio are asked, and what their answers are taken for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use countersign::model::Locale;

use super::provider::{Answer, Provider, kavenegar, nobody, twilio};
use super::{code, count, counted, one_of_each, send};
use crate::harness::{Backend, TestApp};

const PHONE: &str = "+989121234567";
const ABROAD: &str = "+447700900123";

async fn by_kavenegar(provider: &str, settings: &[(&str, &str)]) -> TestApp {
    let own = [
        ("notify.sms", "kavenegar"),
        ("notify.kavenegar.url", provider),
        ("notify.kavenegar.api_key", "6B6579"),
        ("notify.kavenegar.timeout", "300ms"),
        ("notify.failures", "1000"),
        ("notify.app_name", "Keyhouse"),
    ];
    TestApp::with(Backend::Embedded, &[&own, settings].concat()).await
}

async fn by_twilio(provider: &str, settings: &[(&str, &str)]) -> TestApp {
    let own = [
        ("notify.sms", "twilio"),
        ("notify.twilio.url", provider),
        ("notify.twilio.account_sid", "AC0123"),
        ("notify.twilio.auth_token", "a token"),
        ("notify.twilio.timeout", "300ms"),
        ("notify.failures", "1000"),
        ("notify.app_name", "Keyhouse"),
    ];
    TestApp::with(Backend::Embedded, &[&own, settings].concat()).await
}

#[tokio::test]
async fn kavenegar_gets_codes_by_template_and_anything_else_as_text() {
    let provider = Provider::answering(200, &kavenegar(200)).await;
    let settings = [("notify.kavenegar.templates.sign_in", "keyhouse-login"), ("notify.kavenegar.sender", "10004346")];
    let app = by_kavenegar(&provider.url, &settings).await;
    let all = one_of_each(app.now());
    let challenge = app.challenge("0912 123 4567").await;
    let asked = provider.asked_so_often(1).await.remove(0);
    assert_eq!(asked.path, "/v1/6B6579/verify/lookup.json");
    assert_eq!(asked.field("receptor").as_deref(), Some("09121234567"));
    assert_eq!(asked.field("template").as_deref(), Some("keyhouse-login"));
    assert_eq!(asked.field("token").unwrap().len(), usize::try_from(challenge.code_length).unwrap());
    assert_eq!((asked.field("message"), asked.field("sender")), (None, None));

    for (number, content) in all.iter().enumerate().skip(1) {
        send(&app, ABROAD, Locale::Fa, content.clone());
        let asked = provider.asked_so_often(number + 1).await.pop().unwrap();
        assert_eq!(asked.path, "/v1/6B6579/sms/send.json");
        assert_eq!(asked.field("receptor").as_deref(), Some("00447700900123"));
        assert_eq!(asked.field("sender").as_deref(), Some("10004346"));
        assert!(asked.field("message").unwrap().contains("Keyhouse"));
        assert_eq!((asked.field("template"), asked.field("token")), (None, None));
    }
    let link = provider.asked()[5].field("message").unwrap();
    assert!(link.contains("https://app.example.com/reset?token=a&b=c") && link.contains("گذرواژه"), "{link}");
    counted(&app, "sms", "kavenegar", "sent", all.len()).await;
    app.stop().await;
}

#[tokio::test]
async fn what_kavenegar_answers_is_told_apart_and_nothing_is_sent_twice() {
    let provider = Provider::answering(200, &kavenegar(200)).await;
    let app = by_kavenegar(&provider.url, &[]).await;
    let mut wanted = std::collections::BTreeMap::new();
    let answers = [
        (200, kavenegar(411), "refused"),
        (411, kavenegar(411), "refused"),
        (418, kavenegar(418), "failed"),
        (424, kavenegar(424), "failed"),
        (403, kavenegar(403), "failed"),
        (412, kavenegar(412), "failed"),
        (409, kavenegar(409), "unknown"),
        (500, "Internal Server Error".to_owned(), "unknown"),
        (502, "<html>Bad Gateway</html>".to_owned(), "unknown"),
        (200, "\u{0}\u{1}rubbish".to_owned(), "unknown"),
        (200, "{}".to_owned(), "unknown"),
        (200, "x".repeat(100_000), "unknown"),
        (301, String::new(), "unknown"),
    ];
    for (number, (status, body, outcome)) in answers.iter().enumerate() {
        provider.answer(*status, body);
        send(&app, PHONE, Locale::En, code(&app));
        *wanted.entry(*outcome).or_insert(0) += 1;
        counted(&app, "sms", "kavenegar", outcome, wanted[outcome]).await;
        assert_eq!(provider.asked().len(), number + 1, "{status} {outcome}");
    }
    assert_eq!(count(&app, "sms", "kavenegar", "sent"), 0);
    app.stop().await;
}

#[tokio::test]
async fn silence_is_not_known_to_be_a_failure_but_a_closed_door_is() {
    let silent = Provider::start(Answer::Never).await;
    let app = by_kavenegar(&silent.url, &[]).await;
    send(&app, PHONE, Locale::En, code(&app));
    counted(&app, "sms", "kavenegar", "unknown", 1).await;
    assert_eq!(silent.asked().len(), 1);
    app.stop().await;

    let app = by_kavenegar(&nobody().await, &[]).await;
    send(&app, PHONE, Locale::En, code(&app));
    counted(&app, "sms", "kavenegar", "failed", 1).await;
    counted(&app, "sms", "none", "dropped", 1).await;
    app.stop().await;
}

#[tokio::test]
async fn twilio_gets_a_form_with_the_accounts_name_and_token() {
    let provider = Provider::answering(201, &twilio(None)).await;
    let from = [("notify.twilio.from", "+15005550006"), ("notify.autofill_domain", "example.com")];
    let app = by_twilio(&provider.url, &from).await;
    let challenge = app.challenge("0912 123 4567").await;
    let asked = provider.asked_so_often(1).await.remove(0);
    assert_eq!(asked.path, "/2010-04-01/Accounts/AC0123/Messages.json");
    assert_eq!(asked.headers["authorization"], format!("Basic {}", BASE64.encode("AC0123:a token")));
    assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(asked.field("To").as_deref(), Some(PHONE));
    assert_eq!(asked.field("From").as_deref(), Some("+15005550006"));
    assert_eq!(asked.field("MessagingServiceSid"), None);
    let text = asked.field("Body").unwrap();
    let code: String = text.chars().take_while(char::is_ascii_digit).collect();
    assert_eq!(code.len(), usize::try_from(challenge.code_length).unwrap());
    assert_eq!(text.lines().last().unwrap(), format!("@example.com #{code}"));
    counted(&app, "sms", "twilio", "sent", 1).await;
    app.stop().await;

    let service = [("notify.twilio.messaging_service_sid", "MG42"), ("notify.twilio.api_key_sid", "SK7")];
    let app = by_twilio(&provider.url, &service).await;
    send(&app, PHONE, Locale::Fa, super::code(&app));
    let asked = provider.asked_so_often(2).await.remove(1);
    assert_eq!(asked.headers["authorization"], format!("Basic {}", BASE64.encode("SK7:a token")));
    assert_eq!((asked.field("From"), asked.field("MessagingServiceSid").as_deref()), (None, Some("MG42")));
    assert!(asked.field("Body").unwrap().starts_with("کد ورود به Keyhouse: 018245"));
    app.stop().await;
}

#[tokio::test]
async fn what_twilio_answers_is_told_apart_and_nothing_is_sent_twice() {
    let provider = Provider::answering(201, "").await;
    let app = by_twilio(&provider.url, &[("notify.twilio.from", "+15005550006")]).await;
    let mut wanted = std::collections::BTreeMap::new();
    let answers = [
        (201, "rubbish".to_owned(), "sent"),
        (201, "x".repeat(1_000_000), "sent"),
        (400, twilio(Some(21211)), "refused"),
        (400, twilio(Some(21610)), "refused"),
        (401, twilio(Some(20003)), "failed"),
        (400, twilio(Some(21606)), "failed"),
        (429, twilio(Some(20429)), "failed"),
        (429, String::new(), "failed"),
        (400, "<html>".to_owned(), "unknown"),
        (500, twilio(Some(20500)), "unknown"),
        (200, "<html>welcome to the hotel's network</html>".to_owned(), "unknown"),
        (307, String::new(), "unknown"),
    ];
    for (number, (status, body, outcome)) in answers.iter().enumerate() {
        provider.answer(*status, body);
        send(&app, PHONE, Locale::En, code(&app));
        *wanted.entry(*outcome).or_insert(0) += 1;
        counted(&app, "sms", "twilio", outcome, wanted[outcome]).await;
        assert_eq!(provider.asked().len(), number + 1, "{status} {outcome}");
    }
    app.stop().await;
}
