//! F8: mail that is set up wrongly is a matter of mail. The service starts, and signs in by text message.

use std::time::{Duration, Instant};

use countersign::model::Locale;

use super::{code, counted, send};
use crate::harness::{Backend, Nowhere, TestApp, figure};

/// Servers that are not there, or are none of mail.
async fn hosts() -> Vec<(String, String)> {
    let Nowhere { closed, silent, rude } = Nowhere::start().await;
    let closed = closed.to_string();
    vec![
        ("127.0.0.1".to_owned(), closed.clone()),
        ("localhost".to_owned(), closed),
        ("127.0.0.1".to_owned(), silent.to_string()),
        ("127.0.0.1".to_owned(), rude.to_string()),
        ("mail.invalid".to_owned(), "587".to_owned()),
    ]
}

#[tokio::test]
async fn f8_fifty_wrong_mail_settings_and_signing_in_works() {
    let mut settings = Vec::new();
    for (host, port) in hosts().await {
        for tls in ["starttls", "tls", "none", "starttls", "none"] {
            for (user, password) in [("", ""), ("nobody", "wrong")] {
                settings.push((host.clone(), port.clone(), tls, user, password));
            }
        }
    }
    assert_eq!(settings.len(), 50);
    for (host, port, tls, user, password) in settings.into_iter().step_by(figure(1, 3)) {
        let wrong = [
            ("notify.email", "smtp"),
            ("notify.smtp.host", host.as_str()),
            ("notify.smtp.port", port.as_str()),
            ("notify.smtp.tls", tls),
            ("notify.smtp.username", user),
            ("notify.smtp.password", password),
            ("notify.smtp.timeout", "200ms"),
            ("notify.smtp.from_address", "no-reply@keyhouse.example"),
        ];
        let app = TestApp::with(Backend::Embedded, &wrong).await;
        // A letter is on its failing way while somebody signs in.
        send(&app, "ali@example.com", Locale::En, code(&app));
        let began = Instant::now();
        let person = app.sign_in("09121234567").await;
        assert!(began.elapsed() < Duration::from_secs(2), "{host}:{port} {tls}: {:?}", began.elapsed());
        assert!(app.is_active(&person.access_token).await);
        counted(&app, "email", "smtp", "failed", 1).await;
        app.stop().await;
    }
}
