//! Endpoints: set up, listed, given another secret, deleted.

use countersign::proto::v1;
use futures_util::future::join_all;
use tonic::Response;

use super::{URL, create, endpoint, list};
use crate::harness::{Backend, Details, TestApp, bearer, details, on_both_backends, request_id};

on_both_backends!(
    an_endpoint_is_set_up_and_its_secret_is_shown_once,
    endpoints_are_listed_by_name_in_pages,
    what_cannot_be_an_endpoint_is_refused,
    a_repeated_creation_gives_the_same_secret,
    another_secret_takes_the_first_ones_place,
    a_deleted_endpoint_is_gone,
    whatever_is_done_to_an_endpoint_is_in_the_trail,
    nothing_that_is_kept_shows_a_secret,
);

fn refusal<T: std::fmt::Debug>(outcome: Result<Response<T>, tonic::Status>) -> Details {
    details(&outcome.unwrap_err())
}

async fn refused(app: &TestApp, request: v1::CreateWebhookRequest) -> Details {
    refusal(app.node().admin().create_webhook(bearer(request, &app.api_key)).await)
}

async fn rotate(app: &TestApp, webhook_id: &str, request_id: &str) -> v1::RotateWebhookSecretResponse {
    let (webhook_id, request_id) = (webhook_id.to_owned(), request_id.to_owned());
    let request = bearer(v1::RotateWebhookSecretRequest { webhook_id, request_id }, &app.api_key);
    app.node().admin().rotate_webhook_secret(request).await.unwrap().into_inner()
}

async fn delete(app: &TestApp, webhook_id: &str) -> Result<Response<v1::DeleteWebhookResponse>, tonic::Status> {
    let request = v1::DeleteWebhookRequest { webhook_id: webhook_id.to_owned() };
    app.node().admin().delete_webhook(bearer(request, &app.api_key)).await
}

async fn an_endpoint_is_set_up_and_its_secret_is_shown_once(backend: Backend) {
    let app = TestApp::new(backend).await;
    let kinds = ["session.created", "account.created", "session.created"].map(str::to_owned).to_vec();
    let request = v1::CreateWebhookRequest { kinds, ..endpoint("crm", "https://HOOKS.example.com:443/a?b=c") };
    let (webhook, secret) = create(&app, request).await;
    assert_eq!(webhook.name, "crm");
    assert_eq!(webhook.url, "https://hooks.example.com/a?b=c");
    assert_eq!(webhook.kinds, ["account.created", "session.created"]);
    assert_eq!(webhook.state(), v1::WebhookState::Active);
    assert_eq!(webhook.created_at.unwrap().seconds, app.now().timestamp());
    assert!(webhook.rotated_at.is_none() && webhook.disabled_at.is_none());
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "32 bytes in base64");
    let (other, another) = create(&app, endpoint("another", URL)).await;
    assert!(other.kinds.is_empty() && another != secret);
    assert_eq!(list(&app).await, [other, webhook]);
    app.stop().await;
}

async fn endpoints_are_listed_by_name_in_pages(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut names = ["b.c", "a-b", "ab", "b", "a"];
    for name in names {
        create(&app, endpoint(name, URL)).await;
    }
    let (mut listed, mut page_token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = v1::ListWebhooksRequest { page_size: 2, page_token };
        let page = app.node().admin().list_webhooks(bearer(request, &app.api_key)).await.unwrap().into_inner();
        assert!(page.webhooks.len() <= 2);
        listed.extend(page.webhooks.into_iter().map(|webhook| webhook.name));
        (pages, page_token) = (pages + 1, page.next_page_token);
        if page_token.is_empty() {
            break;
        }
    }
    names.sort_unstable();
    listed.sort_unstable();
    assert_eq!((listed.as_slice(), pages), (names.map(str::to_owned).as_slice(), 3));
    for (page_size, page_token) in [(-1, ""), (0, "?")] {
        let request = v1::ListWebhooksRequest { page_size, page_token: page_token.to_owned() };
        let refused = refusal(app.node().admin().list_webhooks(bearer(request, &app.api_key)).await);
        assert_eq!(refused.reason, "INVALID_FIELD");
    }
    app.stop().await;
}

async fn what_cannot_be_an_endpoint_is_refused(backend: Backend) {
    let app = TestApp::new(backend).await;
    create(&app, endpoint("crm", URL)).await;
    let taken = refused(&app, endpoint("crm", "https://another.example/")).await;
    assert_eq!((taken.code, taken.reason.as_str()), (tonic::Code::AlreadyExists, "WEBHOOK_NAME_TAKEN"));
    let long = format!("https://example.com/{}", "a".repeat(2048));
    for url in [
        "",
        "hooks",
        "ftp://example.com",
        "https://u:p@example.com/",
        "https://example.com/#a",
        "https://127.0.0.1/",
        "http://localhost:9090/metrics",
        "https://169.254.169.254/",
        "https://[fd00::1]/",
        "https://2130706433/",
        &long,
    ] {
        let refused = refused(&app, endpoint("x", url)).await;
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["url".to_owned()]), "{url}");
    }
    let kinds = vec!["account.created".to_owned(), "account.craeted".to_owned()];
    let everything = v1::CreateWebhookRequest { kinds, request_id: "x".to_owned(), ..endpoint("No", "no") };
    let refused = refused(&app, everything).await;
    assert_eq!(refused.fields, ["name", "url", "kinds[1]", "request_id"]);
    assert_eq!(list(&app).await.len(), 1);
    app.stop().await;
}

async fn a_repeated_creation_gives_the_same_secret(backend: Backend) {
    let app = TestApp::new(backend).await;
    let request = v1::CreateWebhookRequest { request_id: request_id(), ..endpoint("crm", URL) };
    let mut answers = join_all((0..10).map(|_| create(&app, request.clone()))).await;
    app.advance(60);
    answers.push(create(&app, request.clone()).await);
    answers.dedup();
    assert_eq!(answers.len(), 1);
    for other in [endpoint("other", URL), endpoint("crm", "https://other.example/")] {
        let other = v1::CreateWebhookRequest { request_id: request.request_id.clone(), ..other };
        assert_eq!(refused(&app, other).await.reason, "REQUEST_ID_REUSED");
    }
    // Nor is the name of one intent taken for another's.
    let rotated = rotate(&app, &answers[0].0.webhook_id, &request.request_id).await;
    assert_ne!(rotated.secret, answers[0].1);
    assert_eq!((app.rows("webhooks").await, app.rows("webhook_secrets").await), (1, 2));
    app.stop().await;
}

async fn another_secret_takes_the_first_ones_place(backend: Backend) {
    let app = TestApp::with(backend, &[("events.webhooks.secret_overlap", "1h")]).await;
    let (webhook, first) = create(&app, endpoint("crm", URL)).await;
    app.advance(10);
    let intent = request_id();
    let answers = join_all((0..5).map(|_| rotate(&app, &webhook.webhook_id, &intent))).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let second = &answers[0];
    assert_ne!(second.secret, first);
    assert_eq!(second.former_until.unwrap().seconds, app.now().timestamp() + 3600);
    assert_eq!(second.webhook.as_ref().unwrap().rotated_at.unwrap().seconds, app.now().timestamp());
    // However late it is repeated, the time of the former one goes on.
    app.advance(1800);
    assert_eq!(rotate(&app, &webhook.webhook_id, &intent).await, *second);
    assert_eq!(app.rows("webhook_secrets").await, 2);

    app.advance(1801);
    let third = rotate(&app, &webhook.webhook_id, "").await;
    assert_ne!(third.secret, second.secret);
    // The second is not to be had again by repeating what made it.
    let request = v1::RotateWebhookSecretRequest { webhook_id: webhook.webhook_id, request_id: intent };
    let refused = refusal(app.node().admin().rotate_webhook_secret(bearer(request, &app.api_key)).await);
    assert_eq!(refused.reason, "REQUEST_ID_REUSED");

    // Nor is the first rotation, long after its secret was known to sign, taken for another one.
    let app = {
        app.stop().await;
        TestApp::with(backend, &[("events.webhooks.secret_overlap", "0s")]).await
    };
    let (webhook, _) = create(&app, endpoint("crm", URL)).await;
    let leaked = request_id();
    let signing = async || app.node().app().store.webhook_secrets(app.now()).await.unwrap().len();
    for intent in [&leaked, "", ""] {
        app.advance(60);
        rotate(&app, &webhook.webhook_id, intent).await;
        assert_eq!(signing().await, 1);
    }
    app.advance(30 * 86_400);
    rotate(&app, &webhook.webhook_id, "").await;
    let request = v1::RotateWebhookSecretRequest { webhook_id: webhook.webhook_id.clone(), request_id: leaked };
    let refused = refusal(app.node().admin().rotate_webhook_secret(bearer(request, &app.api_key)).await);
    assert_eq!((refused.reason.as_str(), signing().await), ("REQUEST_ID_REUSED", 1));
    // What nobody repeats any more is forgotten.
    assert_eq!(app.rows("webhook_secrets").await, 5);
    app.advance(90 * 86_400);
    rotate(&app, &webhook.webhook_id, "").await;
    assert_eq!(app.rows("webhook_secrets").await, 2);

    for (webhook_id, reason) in [(request_id(), "WEBHOOK_NOT_FOUND"), ("x".to_owned(), "INVALID_FIELD")] {
        let request = v1::RotateWebhookSecretRequest { webhook_id, ..Default::default() };
        let refused = refusal(app.node().admin().rotate_webhook_secret(bearer(request, &app.api_key)).await);
        assert_eq!(refused.reason, reason);
    }
    app.stop().await;
}

async fn a_deleted_endpoint_is_gone(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (webhook, _) = create(&app, endpoint("crm", URL)).await;
    rotate(&app, &webhook.webhook_id, "").await;
    delete(&app, &webhook.webhook_id).await.unwrap();
    assert!(list(&app).await.is_empty());
    assert_eq!(app.rows("webhook_secrets").await, 0);
    assert_eq!(refusal(delete(&app, &webhook.webhook_id).await).reason, "WEBHOOK_NOT_FOUND");
    assert_eq!(refusal(delete(&app, "").await).reason, "INVALID_FIELD");
    let request = v1::EnableWebhookRequest { webhook_id: webhook.webhook_id };
    let refused = refusal(app.node().admin().enable_webhook(bearer(request, &app.api_key)).await);
    assert_eq!(refused.reason, "WEBHOOK_NOT_FOUND");
    // The name is free again.
    create(&app, endpoint("crm", URL)).await;
    app.stop().await;
}

async fn whatever_is_done_to_an_endpoint_is_in_the_trail(backend: Backend) {
    let app = TestApp::new(backend).await;
    let intent = request_id();
    let request = v1::CreateWebhookRequest { request_id: intent.clone(), ..endpoint("crm", URL) };
    for _ in 0..2 {
        create(&app, request.clone()).await;
    }
    let webhook = list(&app).await.remove(0);
    rotate(&app, &webhook.webhook_id, "").await;
    delete(&app, &webhook.webhook_id).await.unwrap();
    let mut trail = Vec::new();
    for kind in ["webhook.created", "webhook.secret_rotated", "webhook.deleted"] {
        let filter = Some(v1::AuditFilter { kind: kind.to_owned(), ..Default::default() });
        let request = bearer(v1::ListAuditEventsRequest { filter, ..Default::default() }, &app.api_key);
        trail.extend(app.node().admin().list_audit_events(request).await.unwrap().into_inner().events);
    }
    assert_eq!(trail.len(), 3, "once each");
    assert!(trail.iter().all(|event| event.detail == "crm" && event.actor.starts_with("caller:")));
    assert_eq!(trail[0].request_id, intent);
    app.stop().await;
}

async fn nothing_that_is_kept_shows_a_secret(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (_, secret) = create(&app, endpoint("crm", URL)).await;
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &secret[6..]).unwrap();
    let kept = app.node().app().store.webhook_secrets(app.now()).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert!(!kept[0].sealed.windows(16).any(|window| window == &bytes[..16]));
    let answer = v1::CreateWebhookResponse { webhook: None, secret: secret.clone() };
    assert!(!format!("{answer:?}").contains(&secret[6..]));
    app.stop().await;
}
