//! Jobs by themselves: when they are due, on one node of several.

use std::time::Duration;

use super::{job, jobs, revoke};
use crate::harness::{Backend, TestApp, has_services, on_both_backends};

on_both_backends!(what_is_due_is_done_by_itself, what_is_left_to_others_is_not_done);

/// Waits until a job has been done after a time.
async fn done_since(app: &TestApp, name: &str, since: i64) {
    for _ in 0..600 {
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
