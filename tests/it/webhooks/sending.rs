//! Events on their way to endpoints that behave, and to such as do not.

use std::time::{Duration, Instant};

use countersign::proto::v1;

use super::listener::{Listener, Reply};
use super::{Call, admin, create, endpoint, list};
use crate::harness::{Backend, TestApp, bearer, figure, on_both_backends};

on_both_backends!(
    what_happens_arrives_signed_and_in_order,
    an_endpoint_gets_what_it_asked_for_from_when_it_was_created,
    both_secrets_sign_until_the_former_ones_time_is_over,
    whatever_goes_wrong_is_tried_again_under_the_same_name,
    an_endpoint_says_when_to_come_again,
    an_endpoint_that_is_gone_is_disabled_and_goes_on_later,
    a_slow_endpoint_holds_up_no_other,
    what_is_dead_can_be_replayed,
    an_answer_that_is_not_written_down_brings_the_event_again,
    private_addresses_are_not_posted_to,
);

/// Settings with which endpoints may be here, and tests need not wait.
const HERE: &[(&str, &str)] = &[
    ("events.webhooks.allow_private_networks", "true"),
    ("events.webhooks.timeout", "1s"),
    ("events.webhooks.first_retry", "10s"),
    ("events.webhooks.longest_retry", "1h"),
    ("events.poll_every", "20ms"),
];

async fn here(backend: Backend) -> TestApp {
    TestApp::with(backend, HERE).await
}

/// Changes an account, which is an event of its own each time.
async fn change(app: &TestApp, account_id: &str, name: &str) {
    let account = v1::Account { account_id: account_id.to_owned(), first_name: name.to_owned(), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["first_name".to_owned()] });
    let request = v1::UpdateAccountRequest { account: Some(account), update_mask };
    app.node().admin().update_account(bearer(request, &app.api_key)).await.unwrap();
}

async fn deliveries(app: &TestApp) -> Vec<v1::Delivery> {
    admin(app, v1::ListDeliveriesRequest::default()).await.deliveries
}

/// Waits until what has not arrived is as it should be.
async fn deliveries_become(app: &TestApp, right: impl Fn(&[v1::Delivery]) -> bool) -> Vec<v1::Delivery> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // What waits in the outbox is not among them yet, and is looked for first, because it goes that way.
        let is_collected = app.rows("events WHERE outbox_seq IS NOT NULL").await == 0;
        let now = deliveries(app).await;
        if right(&now) && is_collected {
            return now;
        }
        assert!(Instant::now() < deadline, "{now:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn only(kinds: &[&str]) -> Vec<String> {
    kinds.iter().map(|kind| (*kind).to_owned()).collect()
}

async fn what_happens_arrives_signed_and_in_order(backend: Backend) {
    let app = here(backend).await;
    let listener = Listener::start().await;
    let (_, secret) = create(&app, endpoint("crm", &listener.url)).await;
    let person = app.sign_in("09121234567").await;
    for name in ["A", "B", "C"] {
        change(&app, &person.account_id, name).await;
    }
    listener.arrived_at_least(1).await;
    deliveries_become(&app, <[_]>::is_empty).await;
    let arrived = listener.arrived();
    assert!(arrived.iter().all(|one| one.path == "/hook" && one.is_signed_with(&secret)));
    assert!(arrived.iter().all(|one| one.header("content-type") == "application/cloudevents+json; charset=utf-8"));
    assert!(arrived.iter().all(|one| one.header("webhook-timestamp") == app.now().timestamp().to_string()));
    assert!(arrived.iter().all(|one| one.event()["id"] == one.id() && one.event()["specversion"] == "1.0"));
    let own: Vec<_> = arrived.iter().filter(|one| one.event()["subject"] == person.account_id.as_str()).collect();
    let kinds: Vec<_> = own.iter().map(|one| one.kind()).collect();
    let updated = "account.updated";
    assert_eq!(kinds, ["account.created", "session.created", updated, updated, updated]);
    assert!(!arrived.iter().any(|one| String::from_utf8_lossy(&one.body).contains("9121234567")));
    // The endpoint's own creation is told to it as well.
    assert_eq!(arrived.iter().filter(|one| one.kind() == "webhook.created").count(), 1);
    app.stop().await;
}

async fn an_endpoint_gets_what_it_asked_for_from_when_it_was_created(backend: Backend) {
    let app = here(backend).await;
    app.sign_in("09121234567").await;
    // What waits in the outbox still goes to whoever is there when it is collected.
    deliveries_become(&app, <[_]>::is_empty).await;
    let listener = Listener::start().await;
    let request = v1::CreateWebhookRequest { kinds: only(&["session.*"]), ..endpoint("crm", &listener.url) };
    let (webhook, _) = create(&app, request).await;
    app.sign_in("09121234568").await;
    app.sign_in("09121234567").await;
    let arrived = listener.arrived_at_least(2).await;
    deliveries_become(&app, <[_]>::is_empty).await;
    assert_eq!(listener.arrived().len(), 2);
    assert!(arrived.iter().all(|one| one.kind() == "session.created"));

    admin(&app, v1::DeleteWebhookRequest { webhook_id: webhook.webhook_id }).await;
    app.sign_in("09121234569").await;
    deliveries_become(&app, <[_]>::is_empty).await;
    assert_eq!(listener.arrived().len(), 2);
    app.stop().await;
}

async fn both_secrets_sign_until_the_former_ones_time_is_over(backend: Backend) {
    let app = here(backend).await;
    let listener = Listener::start().await;
    let request = v1::CreateWebhookRequest { kinds: only(&["session.created"]), ..endpoint("crm", &listener.url) };
    let (webhook, first) = create(&app, request).await;
    let request = v1::RotateWebhookSecretRequest { webhook_id: webhook.webhook_id, ..Default::default() };
    let second = admin(&app, request).await.secret;
    app.sign_in("09121234567").await;
    let arrived = listener.arrived_at_least(1).await.pop().unwrap();
    assert!(arrived.is_signed_with(&first) && arrived.is_signed_with(&second));
    assert_eq!(arrived.header("webhook-signature").split(' ').count(), 2);
    app.advance(24 * 3600);
    app.sign_in("09121234567").await;
    let arrived = listener.arrived_at_least(2).await.pop().unwrap();
    assert!(!arrived.is_signed_with(&first) && arrived.is_signed_with(&second));
    app.stop().await;
}

async fn whatever_goes_wrong_is_tried_again_under_the_same_name(backend: Backend) {
    let app = here(backend).await;
    let (listener, elsewhere) = (Listener::start().await, Listener::start().await);
    let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint("crm", &listener.url) };
    create(&app, request).await;
    app.sign_in("09121234567").await;
    listener.arrived_at_least(1).await;
    let wrong = [
        (Reply::Status(500), "the endpoint answered 500"),
        (Reply::Status(400), "the endpoint answered 400"),
        (Reply::Redirect(elsewhere.url.clone()), "the endpoint answered 307"),
        (Reply::Endless(503), "the endpoint answered 503"),
        (Reply::Slowly(200, Duration::from_secs(30)), "the endpoint did not answer in time"),
        (Reply::Silence, "the endpoint did not answer in time"),
        (Reply::Closes, "the endpoint broke off"),
    ];
    listener.reply(wrong[0].0.clone());
    app.sign_in("09121234568").await;
    let count = i32::try_from(wrong.len()).unwrap();
    for (attempts, (reply, why)) in (1..).zip(wrong) {
        listener.reply(reply);
        // Due by now, whatever chance has added.
        app.advance(3600);
        let waiting = deliveries_become(&app, |now| now.first().is_some_and(|one| one.attempts >= attempts)).await;
        assert_eq!((waiting.len(), waiting[0].attempts, waiting[0].last_error.as_str()), (1, attempts, why));
        assert!(waiting[0].due_at.unwrap().seconds > app.now().timestamp());
    }
    // A body without end does not matter where the status is right.
    listener.reply(Reply::Endless(200));
    app.advance(3600);
    deliveries_become(&app, <[_]>::is_empty).await;
    let arrived = listener.arrived().split_off(1);
    assert_eq!(i32::try_from(arrived.len()).unwrap(), count + 1);
    assert!(arrived.iter().all(|one| one.id() == arrived[0].id() && one.body == arrived[0].body));
    assert!(elsewhere.arrived().is_empty(), "no redirect is followed");
    app.stop().await;
}

async fn an_endpoint_says_when_to_come_again(backend: Backend) {
    let app = here(backend).await;
    let listener = Listener::start().await;
    listener.reply(Reply::RetryAfter(429, "600"));
    let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint("crm", &listener.url) };
    create(&app, request).await;
    app.sign_in("09121234567").await;
    let waiting = deliveries_become(&app, |now| now.first().is_some_and(|one| one.attempts == 1)).await;
    assert_eq!(waiting[0].due_at.unwrap().seconds, app.now().timestamp() + 600);
    listener.reply(Reply::RetryAfter(503, "99999999"));
    app.advance(600);
    let waiting = deliveries_become(&app, |now| now.first().is_some_and(|one| one.attempts == 2)).await;
    assert_eq!(waiting[0].due_at.unwrap().seconds, app.now().timestamp() + 3600, "no longer than is allowed");
    app.stop().await;
}

async fn an_endpoint_that_is_gone_is_disabled_and_goes_on_later(backend: Backend) {
    let app = here(backend).await;
    let listener = Listener::start().await;
    listener.reply(Reply::Status(410));
    let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint("crm", &listener.url) };
    let (webhook, _) = create(&app, request).await;
    app.sign_in("09121234567").await;
    listener.arrived_at_least(1).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while list(&app).await[0].state() != v1::WebhookState::Disabled {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let filter = Some(v1::AuditFilter { kind: "webhook.disabled".to_owned(), ..Default::default() });
    let trail = admin(&app, v1::ListAuditEventsRequest { filter, ..Default::default() }).await.events;
    assert_eq!((trail.len(), trail[0].detail.as_str(), trail[0].actor.as_str()), (1, "crm", "system"));
    // Nothing of what happens now is for it; what waits does so without being tried.
    listener.reply(Reply::Status(204));
    app.sign_in("09121234568").await;
    app.advance(3600);
    let waiting = deliveries_become(&app, |now| now.len() == 1).await;
    assert_eq!((waiting[0].attempts, waiting[0].state()), (0, v1::DeliveryState::Pending));
    assert_eq!(listener.arrived().len(), 1);

    let enabled = admin(&app, v1::EnableWebhookRequest { webhook_id: webhook.webhook_id }).await.webhook.unwrap();
    assert_eq!((enabled.state(), enabled.disabled_at), (v1::WebhookState::Active, None));
    let arrived = listener.arrived_at_least(2).await;
    assert_eq!(arrived[1].id(), arrived[0].id());
    app.stop().await;
}

async fn a_slow_endpoint_holds_up_no_other(backend: Backend) {
    let app = TestApp::with(backend, &[HERE, &[("events.webhooks.timeout", "10s")]].concat()).await;
    let (slow, quick) = (Listener::start().await, Listener::start().await);
    slow.reply(Reply::Silence);
    for (name, listener) in [("slow", &slow), ("quick", &quick)] {
        let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint(name, &listener.url) };
        create(&app, request).await;
    }
    app.sign_in("09121234500").await;
    slow.arrived_at_least(1).await;
    let begun = Instant::now();
    for number in 1..=5 {
        app.sign_in(&format!("0912123450{number}")).await;
    }
    quick.arrived_at_least(6).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    eprintln!(
        "beside an endpoint that says nothing, five events and their sign-ins took {took:?} to arrive at another"
    );
    app.stop().await;
}

async fn what_is_dead_can_be_replayed(backend: Backend) {
    let app = TestApp::with(backend, &[HERE, &[("events.webhooks.attempts", "2")]].concat()).await;
    let listener = Listener::start().await;
    listener.reply(Reply::Status(500));
    let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint("crm", &listener.url) };
    let (webhook, _) = create(&app, request).await;
    let destination = format!("webhook:{}", webhook.webhook_id);
    for number in 0..figure(20, 5) {
        app.sign_in(&format!("0912123{number:04}")).await;
    }
    let count = figure(20, 5);
    deliveries_become(&app, |now| now.iter().filter(|one| one.attempts == 1).count() == count).await;
    app.advance(3600);
    let dead = |now: &[v1::Delivery]| now.iter().filter(|one| one.state() == v1::DeliveryState::Dead).count();
    let all = deliveries_become(&app, |now| dead(now) == count).await;
    assert!(all.iter().all(|one| one.attempts == 2 && one.kind == "account.created" && one.destination == destination));

    // In pages, by state and destination.
    let (mut listed, mut page_token) = (Vec::new(), String::new());
    loop {
        let state = v1::DeliveryState::Dead.into();
        let request = v1::ListDeliveriesRequest { destination: destination.clone(), state, page_size: 2, page_token };
        let page = admin(&app, request).await;
        assert!(page.deliveries.len() <= 2);
        listed.extend(page.deliveries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, all);
    let state = v1::DeliveryState::Pending.into();
    assert!(admin(&app, v1::ListDeliveriesRequest { state, ..Default::default() }).await.deliveries.is_empty());

    listener.reply(Reply::Status(200));
    let before = listener.arrived().len();
    let event_ids = vec![all[1].event_id.clone(), crate::harness::request_id()];
    let request = v1::ReplayDeliveriesRequest { destination: destination.clone(), event_ids };
    assert_eq!(admin(&app, request).await.replayed, 1);
    let arrived = listener.arrived_at_least(before + 1).await;
    assert_eq!(arrived[before].id(), all[1].event_id);
    deliveries_become(&app, |now| now.len() == count - 1).await;
    for (name, replayed) in
        [("rabbitmq", 0), (destination.as_str(), i64::try_from(count - 1).unwrap()), ("nextcloud", 0)]
    {
        let request = v1::ReplayDeliveriesRequest { destination: name.to_owned(), event_ids: Vec::new() };
        assert_eq!(admin(&app, request).await.replayed, replayed, "{name}");
    }
    deliveries_become(&app, <[_]>::is_empty).await;
    let mut ids: Vec<_> = listener.arrived()[before..].iter().map(|one| one.id().to_owned()).collect();
    let mut expected: Vec<_> = all.iter().map(|one| one.event_id.clone()).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "each once");
    let filter = Some(v1::AuditFilter { kind: "deliveries.replayed".to_owned(), ..Default::default() });
    let trail = admin(&app, v1::ListAuditEventsRequest { filter, ..Default::default() }).await.events;
    assert_eq!(trail.iter().filter(|event| event.detail == destination).count(), trail.len());
    assert_eq!(trail.len(), 2);

    let wrong = v1::ReplayDeliveriesRequest { destination: String::new(), event_ids: only(&["x"]) };
    let refused = wrong.call(&app).await.unwrap_err();
    assert_eq!(crate::harness::details(&refused).fields, ["destination", "event_ids[0]"]);
    let wrong = v1::ListDeliveriesRequest { state: 9, page_size: -1, page_token: "?".to_owned(), ..Default::default() };
    let refused = wrong.call(&app).await.unwrap_err();
    assert_eq!(crate::harness::details(&refused).fields, ["state", "page_size", "page_token"]);
    app.stop().await;
}

/// The relay ends between the request and the moment at which it would have written down that the event had arrived.
async fn an_answer_that_is_not_written_down_brings_the_event_again(backend: Backend) {
    let mut app = here(backend).await;
    let listener = Listener::start().await;
    listener.reply(Reply::Slowly(200, Duration::from_millis(900)));
    let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint("crm", &listener.url) };
    create(&app, request).await;
    app.sign_in("09121234567").await;
    listener.arrived_at_least(1).await;
    // The event is with the endpoint, and the answer on its way. The node that goes now never hears it.
    app.restart_with("events.poll_every", "30ms").await;
    listener.reply(Reply::Status(200));
    let arrived = listener.arrived_at_least(2).await;
    assert_eq!(arrived[0].id(), arrived[1].id());
    assert_eq!(arrived[0].body, arrived[1].body);
    deliveries_become(&app, <[_]>::is_empty).await;
    app.stop().await;
}

async fn private_addresses_are_not_posted_to(backend: Backend) {
    // Set up while that was allowed, under an address and under a name that leads to one.
    let mut app = here(backend).await;
    let listener = Listener::start().await;
    let named = listener.url.replace("127.0.0.1", "localhost");
    for (name, url) in [("address", &listener.url), ("name", &named)] {
        let request = v1::CreateWebhookRequest { kinds: only(&["account.created"]), ..endpoint(name, url) };
        create(&app, request).await;
    }
    app.restart_with("events.webhooks.allow_private_networks", "false").await;
    app.sign_in("09121234567").await;
    let waiting = deliveries_become(&app, |now| now.iter().filter(|one| one.attempts == 1).count() == 2).await;
    assert!(waiting.iter().all(|one| one.last_error.contains("private address")), "{waiting:?}");
    assert!(listener.arrived().is_empty());
    app.stop().await;
}
