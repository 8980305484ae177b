//! Jobs by themselves: when they are due, on one node of several.

use std::time::{Duration, Instant};

use countersign::model::Job;
use countersign::random::Random;

use super::{job, jobs, revoke};
use crate::harness::{Backend, TestApp, has_services, on_both_backends};

on_both_backends!(
    what_is_due_is_done_by_itself,
    what_is_left_to_others_is_not_done,
    what_somebody_died_over_is_done_soon,
);

/// Waits until a job has been done after a time.
async fn done_since(app: &TestApp, name: &str, since: i64) {
    for _ in 0..1_500 {
        let last = job(app, app.node(), name).await.last_run;
        if last.is_some_and(|run| run.started_at.unwrap().seconds >= since) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} is not done by itself: {:?}", jobs(app, app.node()).await);
}

async fn what_is_due_is_done_by_itself(backend: Backend) {
    let settings = [("purge.every", "1h"), ("jobs.rotate_keys_every", "1m"), ("keys.rotate_every", "1h")];
    let app = TestApp::with(backend, &settings).await;
    let start = app.now().timestamp();
    done_since(&app, "purge", start).await;
    done_since(&app, "rotate-keys", start).await;
    revoke(&app, 3).await;
    assert_eq!(app.rows("revocations").await, 3);
    // The interval, and the most that is added to it at random.
    app.advance(3_600 + 61);
    done_since(&app, "purge", start + 3_600).await;
    done_since(&app, "rotate-keys", start + 3_600).await;
    assert_eq!(app.rows("revocations").await, 0);
    assert_eq!(app.rows("signing_keys WHERE state = 'pending'").await, 1);
    let purge = job(&app, app.node(), "purge").await.last_run.unwrap();
    assert_eq!(purge.actor, "system");
    assert!(purge.detail.contains("3 revocations"), "{}", purge.detail);
    app.stop().await;
}

async fn what_is_left_to_others_is_not_done(backend: Backend) {
    let app = TestApp::with(backend, &[("purge.every", "never"), ("jobs.rotate_keys_every", "0s")]).await;
    revoke(&app, 1).await;
    app.advance(86_400);
    // Longer than it takes to look at the time, and twice.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    for job in jobs(&app, app.node()).await.into_iter().filter(|job| job.name != "relay") {
        assert_eq!((job.every, job.next_at, job.last_run), (None, None, None), "{}", job.name);
    }
    assert_eq!(app.rows("revocations").await, 1);
    app.stop().await;
}

/// A node that began and died, as the database shows it. Nobody asks for the job, and the next run is not a day away.
async fn what_somebody_died_over_is_done_soon(backend: Backend) {
    let app = TestApp::with(backend, &[("purge.every", "1d")]).await;
    let start = app.now().timestamp();
    done_since(&app, "purge", start).await;
    app.advance(86_400 - 10);
    let (store, begun_at) = (&app.node().app().store, app.now());
    assert!(store.take_lease("job.purge", Random.id(begun_at), None).await.unwrap());
    let seen = store.job_record(Job::Purge).await.unwrap();
    assert!(store.begin_job(Job::Purge, &seen, begun_at).await.unwrap());

    let began = Instant::now();
    while job(&app, app.node(), "purge").await.running {
        assert!(began.elapsed() < Duration::from_secs(20), "it is said to run for as long as its lease stands");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let next = job(&app, app.node(), "purge").await.next_at.unwrap();
    assert_eq!(next.seconds, begun_at.timestamp() + 60);
    // A day after the last one, and the most that is added to it at random; twice.
    app.advance(10 + 61);
    app.advance(61);
    done_since(&app, "purge", begun_at.timestamp() + 60).await;
    assert!(!job(&app, app.node(), "purge").await.running);
    app.stop().await;
}

/// Of three nodes that find the same thing due, one does it, and all tell the same of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_nodes_does_what_is_due() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 3, &[("purge.every", "1h")]).await;
    let start = app.now().timestamp();
    done_since(&app, "purge", start).await;
    for round in 1..=5 {
        app.advance(3_661);
        done_since(&app, "purge", start + 3_661 * round).await;
        // Whoever comes late finds it done.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let told = job(&app, &app.nodes[0], "purge").await;
        for node in &app.nodes[1..] {
            let there = job(&app, node, "purge").await;
            assert_eq!((there.last_run, there.last_success_at), (told.last_run.clone(), told.last_success_at));
        }
    }
    let counted = |text: &str| {
        let lines = text
            .lines()
            .filter_map(|line| line.strip_prefix("countersign_job_runs_total{name=\"purge\",outcome=\"succeeded\"} "));
        lines.map(|count| count.parse::<u64>().unwrap()).sum::<u64>()
    };
    let runs: u64 = app.nodes.iter().map(|node| counted(&node.app().metrics.render().unwrap())).sum();
    assert_eq!(runs, 6);
    app.stop().await;
}
