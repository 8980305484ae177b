//! Mail, by a real server.

use countersign::model::Locale;
use countersign::random::Random;

use super::mailbox::Server;
use super::{code, count, counted, one_of_each, send};
use crate::harness::{Backend, TestApp, mail_address};
use countersign::proto::v1;

/// An address that no other test writes to.
pub(super) fn somebody(beginning: &str) -> String {
    format!("{beginning}.{}@example.com", Random.id(chrono::DateTime::UNIX_EPOCH).simple())
}

pub(super) async fn by_mail(server: &Server, settings: &[(&str, &str)]) -> TestApp {
    let own = [
        ("notify.email", "smtp"),
        ("notify.app_name", "Keyhouse"),
        ("notify.smtp.host", server.host.as_str()),
        ("notify.smtp.port", server.port.as_str()),
        ("notify.smtp.tls", "none"),
        ("notify.smtp.timeout", "2s"),
        ("notify.smtp.from_address", "no-reply@keyhouse.example"),
        ("notify.smtp.from_name", "خانهٔ کلید"),
        ("notify.failures", "1000"),
    ];
    TestApp::with(Backend::Embedded, &[&own, settings].concat()).await
}

#[tokio::test]
async fn a_code_arrives_and_signs_in() {
    let Some(server) = Server::at_hand() else { return };
    let app = by_mail(&server, &[]).await;
    let to = somebody("ali");
    let request = v1::RequestOtpRequest { identifier: Some(mail_address(&to)), ..Default::default() };
    let challenge = app.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap();
    let letter = server.letters_so_many(&to, 1).await.remove(0);
    assert_eq!((letter.from.as_str(), &letter.to[..]), ("no-reply@keyhouse.example", &[to.clone()][..]));
    assert_eq!(letter.header("from"), "خانهٔ کلید <no-reply@keyhouse.example>");
    assert_eq!(letter.header("to"), to);
    assert_eq!(letter.header("auto-submitted"), "auto-generated");
    assert_eq!(letter.header("date"), "Sun, 17 Mar 2030 17:46:40 +0000");
    let id = letter.header("message-id");
    assert!(id.starts_with('<') && id.ends_with("@keyhouse.example>"), "{id}");
    let (code, _) = letter.header("subject").split_once(" is your Keyhouse code").unwrap();
    assert!(letter.text().contains(code) && letter.html().contains(code));
    let login = crate::harness::login(&challenge.challenge_id, code);
    app.node().auth().login(login).await.unwrap();
    app.stop().await;
}

#[tokio::test]
async fn each_kind_reads_well_in_persian_from_right_to_left() {
    let Some(server) = Server::at_hand() else { return };
    let app = by_mail(&server, &[]).await;
    let to = somebody("sara");
    for content in one_of_each(app.now()) {
        let already = server.letters(&to).len();
        send(&app, &to, Locale::Fa, content.clone());
        let letter = server.letters_so_many(&to, already + 1).await.pop().unwrap();
        let kinds: Vec<_> = letter.parts.iter().map(|part| part.kind.as_str()).collect();
        assert_eq!(kinds, ["text/plain; charset=utf-8", "text/html; charset=utf-8"]);
        assert!(letter.header("content-type").starts_with("multipart/alternative"));
        assert!(letter.html().contains("<html lang=\"fa\" dir=\"rtl\">"), "{}", letter.html());
        assert!(letter.header("subject").contains("Keyhouse"));
        let persian = |text: &str| text.chars().filter(|c| ('\u{600}'..'\u{700}').contains(c)).count();
        assert!(persian(letter.text()) > 20 && persian(letter.html()) > 20 && persian(letter.header("subject")) > 1);
        match content.kind() {
            "code" => {
                assert!(letter.text().contains("018245") && letter.html().contains("<bdi dir=\"ltr\">018245</bdi>"));
                assert!(letter.text().contains("۲ دقیقه"), "{}", letter.text());
            }
            "password_reset" => {
                assert!(letter.text().contains("\nhttps://app.example.com/reset?token=a&b=c\n"), "{}", letter.text());
                let link = "href=\"https:&#x2f;&#x2f;app.example.com&#x2f;reset?token=a&amp;b=c\"";
                assert!(letter.html().contains(link), "{}", letter.html());
            }
            "identifier_changed" => assert!(letter.text().contains("+98*******67") && letter.text().contains("۲۰۳۰")),
            _ => assert!(letter.text().contains("۲۰۳۰-۰۳-۱۷"), "{}", letter.text()),
        }
    }
    counted(&app, "email", "smtp", "sent", one_of_each(app.now()).len()).await;
    app.stop().await;
}

#[tokio::test]
async fn mail_goes_by_tls_with_a_name_and_a_password_or_not_at_all() {
    let Some(server) = Server::at_hand() else { return };
    let authority = server.authority();
    let secured = |tls, port| {
        [
            ("notify.smtp.host", "localhost"),
            ("notify.smtp.port", port),
            ("notify.smtp.tls", tls),
            ("notify.smtp.ca_file", authority.as_str()),
            ("notify.smtp.username", "countersign"),
            ("notify.smtp.password", "open sesame"),
        ]
    };
    for (tls, port) in [("starttls", server.port.as_str()), ("tls", server.tls_port.as_str())] {
        let to = somebody(tls);
        let app = by_mail(&server, &secured(tls, port)).await;
        // The second goes by the connection of the first.
        for number in 1..=2 {
            send(&app, &to, Locale::En, code(&app));
            counted(&app, "email", "smtp", "sent", number).await;
        }
        let letters = server.letters_so_many(&to, 2).await;
        assert!(
            letters.iter().all(|letter| letter.tls && letter.user.as_deref() == Some("countersign")),
            "{letters:?}"
        );
        app.stop().await;

        // A wrong password, an authority that nobody has vouched for, a name that is not the server's.
        for wrong in [
            ("notify.smtp.password", "open barley"),
            ("notify.smtp.ca_file", ""),
            ("notify.smtp.tls", if tls == "tls" { "starttls" } else { "tls" }),
        ] {
            let mut settings = secured(tls, port).to_vec();
            settings.push(wrong);
            let app = by_mail(&server, &settings).await;
            send(&app, &to, Locale::En, code(&app));
            counted(&app, "email", "smtp", "failed", 1).await;
            app.stop().await;
        }
        assert_eq!(server.letters(&to).len(), 2);
    }
}

#[tokio::test]
async fn what_the_server_says_no_to_is_told_from_what_may_have_arrived() {
    let Some(server) = Server::at_hand() else { return };
    let fallback = super::provider::Provider::answering(200, "").await;
    let second = [("notify.email_fallback", "webhook"), ("notify.webhook.url", fallback.url.as_str())];
    let app = by_mail(&server, &second).await;
    let mut by_second = 0;
    for (beginning, outcome, goes_on) in [
        ("refused", "refused", false),
        ("policy", "failed", true),
        ("later", "failed", true),
        ("hang", "unknown", false),
        ("vanish", "unknown", false),
        ("fine", "sent", false),
    ] {
        let before = count(&app, "email", "smtp", outcome);
        let to = somebody(beginning);
        send(&app, &to, Locale::En, code(&app));
        counted(&app, "email", "smtp", outcome, before + 1).await;
        by_second += usize::from(goes_on);
        counted(&app, "email", "webhook", "sent", by_second).await;
        assert!(server.letters(&to).len() <= 1);
    }
    assert_eq!(fallback.asked().len(), 2);
    app.stop().await;
}
