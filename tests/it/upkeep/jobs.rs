//! Jobs that an operator asks for by RPC.

use std::time::{Duration, Instant};

use countersign::proto::v1::{self, JobOutcome};
use countersign::random::Random;
use futures_util::future::join_all;

use super::{job, jobs, revoke, run};
use crate::harness::database::number;
use crate::harness::{Backend, TestApp, bearer, details, has_services, on_both_backends};

const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

on_both_backends!(
    a_job_that_is_asked_for_is_done_and_remembered,
    what_is_no_job_is_refused,
    a_step_of_the_keys_is_told,
    a_deleted_account_goes_once_nothing_speaks_of_it,
    what_another_node_does_is_not_begun_until_that_is_gone,
);

async fn a_job_that_is_asked_for_is_done_and_remembered(backend: Backend) {
    let app = TestApp::with(backend, &[("purge.every", "1h")]).await;
    // The schedule has had its first turn.
    for _ in 0..500 {
        if job(&app, app.node(), "purge").await.last_run.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let names: Vec<_> = jobs(&app, app.node()).await.into_iter().map(|job| job.name).collect();
    assert_eq!(names, ["purge", "rotate-keys", "relay"]);
    let keys = job(&app, app.node(), "rotate-keys").await;
    assert_eq!((keys.every, keys.next_at, keys.last_run), (None, None, None));

    revoke(&app, 3).await;
    app.advance(2_000);
    let asked_at = app.now().timestamp();
    let done = run(&app, app.node(), "purge").await.unwrap();
    assert_eq!((done.outcome(), done.started_at.unwrap().seconds), (JobOutcome::Succeeded, asked_at));
    assert!(done.detail.starts_with("deleted 0 sessions, 0 revocations"), "{}", done.detail);
    assert!(done.actor.starts_with("caller:"), "{}", done.actor);
    let purge = job(&app, app.node(), "purge").await;
    assert_eq!(purge.last_run, Some(done));
    assert_eq!(purge.last_success_at.unwrap().seconds, asked_at);
    assert_eq!((purge.every.unwrap().seconds, purge.running), (3_600, false));
    // Asking for it counts for the schedule.
    assert_eq!(purge.next_at.unwrap().seconds, asked_at + 3_600);
    let text = app.node().app().metrics.render().unwrap();
    assert!(text.contains("countersign_job_runs_total{name=\"purge\",outcome=\"succeeded\"} 2"), "{text}");
    assert!(
        text.contains(&format!("countersign_job_last_success_timestamp_seconds{{name=\"purge\"}} {asked_at}\n")),
        "{text}"
    );
    app.stop().await;
}

async fn what_is_no_job_is_refused(backend: Backend) {
    let app = TestApp::new(backend).await;
    for (name, reason) in [("Purge", "JOB_NOT_FOUND"), ("", "INVALID_FIELD"), (&"x".repeat(65), "INVALID_FIELD")] {
        assert_eq!(details(&run(&app, app.node(), name).await.unwrap_err()).reason, reason, "{name}");
    }
    app.stop().await;
}

async fn a_step_of_the_keys_is_told(backend: Backend) {
    let app = TestApp::with(backend, &[("keys.rotate_every", "1h")]).await;
    assert_eq!(run(&app, app.node(), "rotate-keys").await.unwrap().detail, "no step was due");
    app.advance(3_600);
    let published = run(&app, app.node(), "rotate-keys").await.unwrap();
    let kid = published.detail.strip_prefix("published key ").unwrap_or_else(|| panic!("{}", published.detail));
    app.advance(600);
    let signs = run(&app, app.node(), "rotate-keys").await.unwrap();
    assert_eq!(signs.detail, format!("key {kid} signs from now on"));
    let person = app.sign_in("09121234567").await;
    assert_eq!(app.node().app().access.known(&person.access_token).unwrap().kid, kid);
    app.stop().await;
}

async fn a_deleted_account_goes_once_nothing_speaks_of_it(backend: Backend) {
    let app = TestApp::with(backend, &[("purge.event_retention", "2d")]).await;
    let (kept, deleted) = (app.sign_in("09121234567").await, app.sign_in("09121234568").await);
    let request = v1::AdminServiceDeleteAccountRequest { account_id: deleted.account_id.clone() };
    app.node().admin().delete_account(bearer(request, &app.api_key)).await.unwrap();
    let purge = async || {
        let request = bearer(v1::PurgeExpiredRequest {}, &app.api_key);
        app.node().admin().purge_expired(request).await.unwrap().into_inner()
    };
    app.advance(86_400);
    // Its sessions go; what happened to it is known still.
    let first = purge().await;
    assert_eq!((first.sessions, first.accounts), (1, 0));
    app.advance(86_400);
    // What waits to be told of stays.
    let waiting = "SELECT COUNT(*) FROM events WHERE outbox_seq IS NOT NULL";
    while number(&app.node().app().store, waiting, &[]).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(purge().await.accounts, 1);
    assert_eq!(app.rows("accounts").await, 1);
    let request = bearer(v1::GetAccountRequest { account_id: kept.account_id }, &app.api_key);
    app.node().admin().get_account(request).await.unwrap();
    app.stop().await;
}

/// Another node, as the database shows it: first alive, then gone without a word.
async fn what_another_node_does_is_not_begun_until_that_is_gone(backend: Backend) {
    let app = TestApp::with(backend, &[("jobs.http_key", KEY)]).await;
    let (store, other) = (app.node().app().store.clone(), Random.id(app.now()));
    assert!(store.take_lease("job.purge", other, None).await.unwrap());
    let alive = tokio::spawn(async move {
        loop {
            assert!(store.renew_lease("job.purge", other).await.unwrap());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(job(&app, app.node(), "purge").await.running);
    let refused = details(&run(&app, app.node(), "purge").await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (tonic::Code::Aborted, "JOB_RUNNING"));
    let url = format!("http://{}/jobs/purge", app.node().http);
    let asked = reqwest::Client::new().post(url).header("authorization", format!("Bearer {KEY}")).send().await.unwrap();
    assert_eq!(asked.status(), 409);
    // Another job is nobody's yet.
    run(&app, app.node(), "rotate-keys").await.unwrap();

    alive.abort();
    let gone_at = Instant::now();
    let done = run(&app, app.node(), "purge").await.unwrap();
    assert_eq!(done.outcome(), JobOutcome::Succeeded);
    let took = gone_at.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(30), "{took:?}");
    assert!(!job(&app, app.node(), "purge").await.running);
    app.stop().await;
}

/// Relaying is what one node always does; somebody outside may where none does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relaying_is_somebodys_already() {
    let app = TestApp::new(Backend::Embedded).await;
    for _ in 0..500 {
        if job(&app, app.node(), "relay").await.running {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let relay = job(&app, app.node(), "relay").await;
    assert_eq!((relay.running, relay.next_at), (true, None));
    assert_eq!(details(&run(&app, app.node(), "relay").await.unwrap_err()).reason, "JOB_RUNNING");
    app.stop().await;
}

/// However many ask at once on one node, one at a time does it; the others are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_while_it_is_done_is_told() {
    if !has_services() {
        return;
    }
    let app = TestApp::new(Backend::Shared).await;
    let asked = join_all((0..20).map(|_| run(&app, app.node(), "purge"))).await;
    let done = asked.iter().filter(|answer| answer.is_ok()).count();
    assert!(done >= 1);
    for refused in asked.into_iter().filter_map(Result::err) {
        let told = details(&refused);
        assert_eq!((told.code, told.reason.as_str()), (tonic::Code::Aborted, "JOB_RUNNING"));
        assert!(told.retry_seconds.is_some());
    }
    app.stop().await;
}
