//! O11: nothing that a person or a setting brings in begins a header, adds a recipient or changes a link.

use chrono::TimeDelta;
use countersign::config::Config;
use countersign::model::{Content, EmailAddress, Locale};
use countersign::proto::v1;
use countersign::secret::Secret;

use super::mail::{by_mail, somebody};
use super::mailbox::Server;
use super::{counted, send};
use crate::harness::mail_address;

/// Two hundred ways to try.
fn variants() -> Vec<String> {
    let breaks = [
        "\r\n",
        "\n",
        "\r",
        "\n\r",
        "\r\n\r\n",
        "\u{85}",
        "\u{2028}",
        "\u{2029}",
        "\u{b}",
        "\u{c}",
        "\0\r\n",
        "%0d%0a",
        "%0a",
        "\\r\\n",
        "=0D=0A",
        "=?utf-8?q?=0d=0a?=",
        "\r\n ",
        "\r\n\t",
        "&#13;&#10;",
        "\u{560d}\u{560a}",
    ];
    let payloads = [
        "Bcc: thief@evil.example",
        "To: thief@evil.example",
        "Subject: another",
        "Content-Type: text/html",
        "Reply-To: thief@evil.example",
        ".\r\nMAIL FROM:<thief@evil.example>",
        ".\r\nQUIT",
        "<script>alert(1)</script>",
        "--boundary\r\n\r\n{{ code }}{% include 'x' %}",
        "\"><a href=\"https://evil.example\">x</a>",
    ];
    breaks.iter().flat_map(|one| payloads.iter().map(move |payload| format!("x{one}{payload}"))).collect()
}

#[tokio::test]
async fn o11_two_hundred_hostile_texts_change_no_header_no_recipient_and_no_link() {
    let Some(server) = Server::at_hand() else { return };
    let app = by_mail(&server, &[]).await;
    let variants = variants();
    assert_eq!(variants.len(), 200);
    let to = somebody("mina");
    let headers = ["from", "to", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"];
    for (number, hostile) in variants.iter().enumerate() {
        // As an address it is none, whoever tries.
        assert!(EmailAddress::parse(&format!("{hostile}@example.com")).is_err(), "{hostile:?}");
        assert!(EmailAddress::parse(&format!("a@example.com{hostile}")).is_err(), "{hostile:?}");
        let asked =
            v1::RequestOtpRequest { identifier: Some(mail_address(&format!("{to}{hostile}"))), ..Default::default() };
        app.node().auth().request_otp(asked).await.unwrap_err();
        // Elsewhere it is text, in every place that a message has.
        let content = if number % 2 == 0 {
            Content::IdentifierChanged { at: app.now(), new_masked: hostile.clone() }
        } else {
            let expires_at = app.now() + TimeDelta::minutes(5);
            Content::PasswordReset { url: Secret::new(format!("https://app.example.com/?{hostile}")), expires_at }
        };
        let locale = if number % 4 < 2 { Locale::En } else { Locale::Fa };
        send(&app, &to, locale, content);
    }
    counted(&app, "email", "smtp", "sent", variants.len()).await;
    let letters = server.letters(&to);
    assert_eq!(letters.len(), variants.len());
    for letter in &letters {
        let mut names: Vec<_> = letter.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        let mut wanted = headers.to_vec();
        wanted.sort_unstable();
        assert_eq!(names, wanted);
        assert_eq!((letter.to.as_slice(), letter.header("to")), ([to.clone()].as_slice(), to.as_str()));
        assert_eq!(letter.parts.len(), 2);
        assert!(
            !letter.html().contains("<script") && !letter.html().contains("<a href=\"https://evil"),
            "{}",
            letter.html()
        );
        assert!(letter.html().contains("</html>") && !letter.html().contains("018245"));
    }
    assert!(server.letters("thief@evil.example").is_empty());
    app.stop().await;
}

#[test]
fn o11_names_with_line_breaks_stop_the_start() {
    for hostile in variants().iter().filter(|hostile| hostile.contains(char::is_control)) {
        for setting in ["NOTIFY__APP_NAME", "NOTIFY__SMTP__FROM_NAME", "NOTIFY__SMTP__FROM_ADDRESS"] {
            let variables = [
                ("NOTIFY__EMAIL", "smtp"),
                ("NOTIFY__SMTP__HOST", "localhost"),
                ("NOTIFY__SMTP__FROM_ADDRESS", "a@example.com"),
                (setting, hostile.as_str()),
            ];
            let variables = variables.map(|(name, value)| (format!("COUNTERSIGN__{name}"), value.to_owned()));
            let problems = Config::load(None, variables.into_iter()).unwrap_err().0;
            let wanted = setting.to_ascii_lowercase().replace("__", ".");
            assert!(problems.iter().any(|problem| problem.setting == wanted), "{setting} {hostile:?}");
        }
    }
}
