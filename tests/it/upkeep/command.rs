//! Jobs that are begun on the command line, as by a cron on a machine of its own.

use std::process::{Command, Output};

use super::{job, revoke};
use crate::harness::{Backend, TestApp, has_services, led_to};

/// Runs a command against the test's database, among other variables.
fn countersign(app: &TestApp, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let name = |name: &str| format!("COUNTERSIGN__{}", name.to_ascii_uppercase().replace('.', "__"));
    Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .envs(app.settings.iter().map(|(own, value)| (name(own), value)))
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

/// A machine whose clock is a year ahead would delete what is alive, and nobody would do the job for a year.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_goes_by_the_time_of_the_database() {
    if !has_services() {
        return;
    }
    let Some(library) = led_to("COUNTERSIGN_TEST_FAKETIME") else { return };
    let app = TestApp::today(Backend::Shared, &[("purge.every", "1d")]).await;
    revoke(&app, 3).await;
    app.sign_in("09121234567").await;
    let ahead = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME", "+365d"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("NO_COLOR", "1"),
    ];
    for arguments in [&["purge"][..], &["job", "run", "rotate-keys"], &["keys", "rotate"], &["job", "run", "purge"]] {
        let done = countersign(&app, arguments, &ahead);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
    assert_eq!((app.rows("revocations").await, app.rows("sessions").await), (3, 1));
    let (purge, now) = (job(&app, app.node(), "purge").await, app.now().timestamp());
    let begun_at = purge.last_run.unwrap().started_at.unwrap().seconds;
    assert!((now - 60..now + 300).contains(&begun_at), "{begun_at} is not {now}");
    assert!(purge.next_at.unwrap().seconds <= begun_at + 86_400);
    let late = "events WHERE at > CURRENT_TIMESTAMP + INTERVAL '1 day'";
    assert_eq!((app.rows("events WHERE actor = 'operator'").await, app.rows(late).await), (1, 0));
    app.stop().await;
}
