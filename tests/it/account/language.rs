//! In which language people are written to.

use countersign::model::Locale;
use countersign::proto::v1;

use super::update;
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(codes_are_written_in_the_language_of_whoever_gets_them);

async fn codes_are_written_in_the_language_of_whoever_gets_them(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    let persian = v1::Account { locale: "fa".to_owned(), ..Default::default() };
    update(&app, &person, persian, &["locale"]).await.unwrap();
    app.advance(61);
    app.sign_in("09120000001").await;
    app.sign_in("09120000002").await;
    let languages = |to: &str| app.messages_to(to).iter().map(|message| message.locale).collect::<Vec<_>>();
    assert_eq!(languages("+989120000001"), [Locale::En, Locale::Fa]);
    assert_eq!(languages("+989120000002"), [Locale::En]);
    app.stop().await;
}
