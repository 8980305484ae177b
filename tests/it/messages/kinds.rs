//! What is handed in comes out, whatever kind it is of.

use countersign::model::Locale;

use super::{message, one_of_each};
use crate::harness::{Backend, TestApp};

#[tokio::test]
async fn a_message_of_each_kind_gets_through() {
    let app = TestApp::with(Backend::Embedded, &[("notify.default_locale", "fa-IR")]).await;
    let notifier = &app.node().app().notifier;
    assert_eq!(notifier.default_locale(), Locale::Fa);
    let all = one_of_each(app.now());
    for (to, content) in ["+989121234567", "ali@example.com"].iter().flat_map(|to| all.iter().map(move |one| (to, one)))
    {
        notifier.reserve().unwrap().send(message(to, Locale::Fa, content.clone()));
        let arrived = app.message_to(to, content.kind()).await;
        assert_eq!(arrived.locale, Locale::Fa);
    }
    for _ in 0..500 {
        if app.messages_so_far() == 2 * all.len() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    for to in ["+989121234567", "ali@example.com"] {
        let arrived: Vec<_> = app.messages_to(to).into_iter().map(|message| message.content).collect();
        assert!(arrived.len() == all.len() && all.iter().all(|one| arrived.contains(one)), "{arrived:?}");
    }
    app.stop().await;
}
