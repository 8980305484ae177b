//! The dashboard and the alerts show and watch only what is really served, and each alert says what to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::proto::v1;
use tonic::Code;

use super::Running;
use crate::harness::{Backend, bearer, has_services, phone_number};

/// Figures that are there once somebody gets events, a job has been done, or too much was asked.
const AT_TIMES: &[&str] = &[
    "countersign_shed_total",
    "countersign_caller_refusals_total",
    "countersign_deliveries_total",
    "countersign_deliveries_pending",
    "countersign_deliveries_dead",
    "countersign_job_runs_total",
    "countersign_job_last_success_timestamp_seconds",
];

/// What Prometheus itself says of whom it asks. Where a figure has such a label too, what it says is renamed (`exported_job`).
const OF_TARGETS: &[&str] = &["job", "instance", "namespace", "service", "pod", "container", "endpoint"];

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of our figures in a text.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = text.split(|character| !is_part(character));
    words.filter(|word| word.starts_with("countersign_")).map(str::to_owned).collect()
}

/// The alerts, in their order.
fn alerts() -> Vec<String> {
    let rules = read("helm/countersign/files/alerts.yaml");
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).map(str::to_owned).collect()
}

/// The program of Prometheus that judges rules and figures. Where `CI` is set it must be there.
fn promtool() -> Option<Command> {
    let program = std::env::var_os("COUNTERSIGN_TEST_PROMTOOL");
    assert!(program.is_some() || std::env::var_os("CI").is_none(), "COUNTERSIGN_TEST_PROMTOOL must be set where CI is");
    if program.is_none() {
        eprintln!("skipped: COUNTERSIGN_TEST_PROMTOOL is not set; scripts/test sets it");
    }
    program.map(Command::new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_and_watched_is_served() {
    if !has_services() {
        return;
    }
    let dashboard = read("helm/countersign/files/dashboard.json");
    let shown: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(shown["panels"].as_array().unwrap().len() > 30);
    let (used, rules) = (names(&dashboard), names(&read("helm/countersign/files/alerts.yaml")));

    let running = Running::start(Backend::Shared, &[("limits.codes_per_identifier_and_network.count", "1")]).await;
    exercise(&running).await;
    let figures = running.figures().await;
    let served = names(&figures);
    let missing: Vec<_> = used.union(&rules).filter(|name| !served.contains(*name)).collect();
    let unexpected: Vec<_> = missing.iter().filter(|name| !AT_TIMES.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "not served: {unexpected:?}");
    let taken: Vec<_> = OF_TARGETS
        .iter()
        .filter(|label| [",", "{"].iter().any(|before| figures.contains(&format!("{before}{label}=\""))))
        .collect();
    assert!(taken.is_empty(), "labels that are Prometheus's own: {taken:?}");
    // And what is served is told of.
    let manual = names(&read("docs/telemetry.md"));
    let untold: Vec<_> = figures
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| !manual.contains(*name) && !manual.contains(&format!("{name}_total")))
        .collect();
    assert!(untold.is_empty(), "docs/telemetry.md says nothing of {untold:?}");

    let Some(mut promtool) = promtool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figures");
    std::fs::write(&path, classic(&figures)).unwrap();
    let judged = promtool.args(["check", "metrics"]).stdin(std::fs::File::open(path).unwrap()).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
}

/// The figures in the older form, which alone promtool reads: there a counter's help and type go by its whole name.
fn classic(figures: &str) -> String {
    let counters: Vec<_> =
        figures.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let whole = |line: &str| {
        let mut words: Vec<_> = line.splitn(4, ' ').map(str::to_owned).collect();
        if words[0] == "#" && words.len() > 2 && counters.contains(&words[2].as_str()) {
            words[2].push_str("_total");
        }
        words.join(" ") + "\n"
    };
    figures.lines().filter(|line| *line != "# EOF").map(whole).collect()
}

/// Does a little of everything, so that every figure has something to show.
async fn exercise(running: &Running) {
    let mut auth = running.auth();
    let ask = v1::RequestOtpRequest { identifier: Some(phone_number("09121234567")), ..Default::default() };
    let challenge = auth.request_otp(ask.clone()).await.unwrap().into_inner().challenge.unwrap();
    // A second message to the same number at once is beyond a limit.
    let refusal = auth.request_otp(ask).await.unwrap_err();
    assert_eq!(refusal.code(), Code::ResourceExhausted);
    auth.login(crate::harness::login(&challenge.challenge_id, "0000000")).await.unwrap_err();
    auth.login(crate::harness::login(&challenge.challenge_id, "000000")).await.unwrap_err();
    let refresh = v1::RefreshRequest { refresh_token: "csr_none".to_owned(), ..Default::default() };
    running.tokens().refresh(refresh).await.unwrap_err();
    let probe = v1::IntrospectRequest { token: "x".to_owned(), ..Default::default() };
    running.tokens().introspect(bearer(probe, &running.api_key)).await.unwrap();
    for _ in 0..500 {
        if running.figures().await.contains("countersign_messages_total{") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("no message was sent");
}

#[test]
fn each_alert_says_what_to_do() {
    let (rules, runbook) = (read("helm/countersign/files/alerts.yaml"), read("docs/runbook.md"));
    let alerts = alerts();
    assert!(alerts.len() > 20);
    for alert in &alerts {
        assert!(runbook.contains(&format!("\n## {alert}\n")), "docs/runbook.md has no entry {alert}");
        let anchor = format!("runbook: docs/runbook.md#{}\n", alert.to_ascii_lowercase());
        assert!(rules.contains(&anchor), "{alert} does not lead to its entry");
    }
    let entries: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## Countersign")).collect();
    assert_eq!(entries.len(), alerts.len(), "an entry of an alert that is gone: {entries:?}");
    assert!(read("docs/operations.md").contains("runbook.md"));
}

/// The chart puts an installation's name and namespace there.
#[test]
fn each_alert_is_about_one_installation() {
    let rules = read("helm/countersign/files/alerts.yaml");
    for line in rules.lines().filter(|line| !line.starts_with('#')) {
        let figures = line.matches("countersign_").count() + line.matches("up{").count();
        assert_eq!(line.matches("{job=\"countersign\"").count(), figures, "{line}");
    }
}

#[test]
fn each_alert_fires_when_it_should() {
    let Some(mut promtool) = promtool() else { return };
    let mut tests = Vec::new();
    for entry in std::fs::read_dir(file("tests/alerts")).unwrap() {
        tests.push(entry.unwrap().path());
    }
    let tested: String = tests.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for alert in alerts() {
        assert!(tested.contains(&format!("alertname: {alert}\n")), "nothing shows when {alert} fires");
    }
    let judged = promtool.args(["test", "rules"]).args(&tests).output().unwrap();
    let said = [judged.stdout, judged.stderr].concat();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&said));
}
