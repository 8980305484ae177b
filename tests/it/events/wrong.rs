//! F8: a broker that is set up wrongly is a matter of events. The service starts, people sign in, and what happens waits.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::{EXCHANGE, Listener, until};
use crate::harness::{Backend, Nowhere, OwnRabbit, Program, TestApp, figure};

/// Settings that lead nowhere, whatever broker there is.
async fn nowhere() -> Vec<(&'static str, String)> {
    let Nowhere { closed, silent, rude } = Nowhere::start().await;
    vec![
        ("url", OwnRabbit::url(closed)),
        ("url", OwnRabbit::url(silent)),
        ("url", OwnRabbit::url(rude)),
        ("url", format!("amqps://guest:guest@127.0.0.1:{silent}/%2f")),
        ("url", format!("amqps://guest:guest@127.0.0.1:{rude}/%2f")),
        ("url", "amqp://guest:guest@broker.invalid/%2f".to_owned()),
        ("url", "amqp://guest:pass word@[".to_owned()),
        ("url", "https://broker.example".to_owned()),
        ("url", "not a url".to_owned()),
        ("url_file", "/nowhere/at/all".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_wrong_broker_settings_and_signing_in_works() {
    let settings = nowhere().await;
    let settings: Vec<_> = settings.into_iter().step_by(figure(1, 3)).collect();
    for (name, value) in &settings {
        works_without(&[(&format!("events.rabbitmq.{name}"), value)]).await;
    }
    eprintln!("F8: {} wrong settings of the broker, and people signed in with each", settings.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broker_refuses_waits_until_it_is_set_right() {
    let Some(broker) = OwnRabbit::start().await else { return };
    let url = OwnRabbit::url(broker.port);
    let other = |from: &str, to: &str| url.replace(from, to);
    let refused: [&[(&str, &str)]; 4] = [
        &[("events.rabbitmq.url", &other("guest:guest", "guest:wrong"))],
        &[("events.rabbitmq.url", &other("%2f", "elsewhere"))],
        // Nobody has declared it.
        &[("events.rabbitmq.url", &url), ("events.rabbitmq.declare", "false")],
        // It is there, and is something else.
        &[("events.rabbitmq.url", &url), ("events.rabbitmq.exchange", "amq.fanout")],
    ];
    for settings in refused {
        works_without(settings).await;
    }

    // It is there as soon as somebody has declared it.
    let settings = [("events.rabbitmq.url", url.as_str()), ("events.rabbitmq.declare", "false")];
    let app =
        TestApp::with(Backend::Embedded, &[settings[0], settings[1], ("events.rabbitmq.kinds", "account.*")]).await;
    app.sign_in("09121234567").await;
    until("the broker is missed", Duration::from_secs(30), async || figure_of(&app, "outcome=\"away\"") > 0).await;
    let listener = Listener::new(broker.port).await;
    listener.set_up().await;
    until("it has arrived", Duration::from_secs(30), async || figure_of(&app, "outcome=\"delivered\"") > 0).await;
    // The first may have come before the queue was there; the next one finds it.
    let next = app.sign_in("09121234568").await;
    until("so has the next", Duration::from_secs(30), async || figure_of(&app, "outcome=\"delivered\"") > 1).await;
    let told = listener.take().await;
    assert!(told.iter().all(|told| told.kind == "account.created"), "at {EXCHANGE}");
    assert_eq!(told.last().unwrap().account, next.account_id);
    app.stop().await;
}

/// The library has a thread for each connection. One that waits for a broker that says nothing must end with the try.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_costs_no_threads() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = OwnRabbit::url(silent.local_addr().unwrap().port());
    let (count, mut tried) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
            count.send_replace(held.len());
        }
    });
    let settings = [("events.rabbitmq.url", url.as_str()), ("events.rabbitmq.timeout", "100ms")];
    let app = TestApp::today(Backend::Embedded, &settings).await;
    app.sign_in("09121234567").await;
    let settings = app.settings.clone();
    for node in app.nodes {
        node.stop().await;
    }
    let before = *tried.borrow();
    // A process of its own, so that all its threads are known.
    let program = Program::start(&settings);
    tokio::time::timeout(Duration::from_mins(2), tried.wait_for(|tried| *tried >= before + 5)).await.unwrap().unwrap();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.id())).unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    let names: Vec<_> = names.filter(|name| name.starts_with("lapin")).collect();
    assert!(names.len() <= 2, "{names:?}");
}

/// A node with these settings starts, and people sign in; the figures say that events cannot leave.
async fn works_without(settings: &[(&str, &str)]) {
    let settings = [settings, &[("events.rabbitmq.timeout", "300ms"), ("events.poll_every", "50ms")]].concat();
    let app = TestApp::with(Backend::Embedded, &settings).await;
    let began = Instant::now();
    let person = app.sign_in("09121234567").await;
    assert!(began.elapsed() < Duration::from_secs(2), "{settings:?}: {:?}", began.elapsed());
    until("the broker is missed", Duration::from_secs(30), async || figure_of(&app, "outcome=\"away\"") > 0).await;
    assert!(app.is_active(&person.access_token).await);
    assert!(app.rows("deliveries").await >= 2);
    let began = Instant::now();
    app.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{settings:?}: stopping took {:?}", began.elapsed());
}

/// The figure of deliveries with this label.
fn figure_of(app: &TestApp, label: &str) -> u64 {
    let figures = app.node().app().metrics.render().unwrap();
    let line = figures.lines().find(|line| line.starts_with("countersign_deliveries_total") && line.contains(label));
    line.and_then(|line| line.rsplit(' ').next()).map_or(0, |value| value.parse().unwrap())
}
