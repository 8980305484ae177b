//! Events that no node relays by itself: they go out when somebody outside asks for it.

use countersign::proto::v1;

use super::listener::{Listener, Reply};
use super::{create, endpoint};
use crate::harness::{Backend, TestApp, bearer, on_both_backends};

on_both_backends!(what_waits_goes_out_when_it_is_asked_for);

const SETTINGS: &[(&str, &str)] = &[
    ("events.poll_every", "never"),
    ("events.webhooks.allow_private_networks", "true"),
    ("events.webhooks.timeout", "1s"),
];

async fn relay(app: &TestApp) -> v1::JobRun {
    let request = bearer(v1::RunJobRequest { name: "relay".to_owned() }, &app.api_key);
    app.node().admin().run_job(request).await.unwrap().into_inner().run.unwrap()
}

async fn what_waits_goes_out_when_it_is_asked_for(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let listener = Listener::start().await;
    create(&app, endpoint("crm", &listener.url)).await;
    relay(&app).await;
    let before = listener.arrived().len();
    app.sign_in("09121234567").await;
    // Longer than a node that relays would wait.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(listener.arrived().len(), before);
    assert!(app.rows("events WHERE outbox_seq IS NOT NULL").await > 0);

    let done = relay(&app).await;
    assert_eq!(done.outcome(), v1::JobOutcome::Succeeded);
    assert_eq!(done.detail, "2 events delivered, 0 refused, 0 given up");
    let kinds: Vec<_> = listener.arrived()[before..].iter().map(super::listener::Arrived::kind).collect();
    assert_eq!(kinds, ["account.created", "session.created"]);
    assert_eq!(app.rows("events WHERE outbox_seq IS NOT NULL").await, 0);

    // What is refused waits for a later round.
    listener.reply(Reply::Status(500));
    app.sign_in("09121234568").await;
    let refused = relay(&app).await;
    assert!(refused.detail.starts_with("0 events delivered, 1 refused"), "{}", refused.detail);
    app.stop().await;
}
