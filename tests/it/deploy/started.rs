//! What the chart tells its Job and its pods really migrates a database and starts the program, on a PostgreSQL and a Redis.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::manifests::{Manifests, items, said, sound};
use super::{python, run, setting};
use crate::harness::{Program, has_services, new_database};

/// The variables of a pod, with a folder in place of its secrets, and ports that are free.
fn variables(pod: &Value, secrets: &std::path::Path) -> BTreeMap<String, String> {
    let mut variables = Manifests::variables(pod);
    for (variable, value) in &mut variables {
        if let Some(name) = value.strip_prefix("/etc/countersign/secrets/") {
            *value = secrets.join(name).display().to_string();
        } else if variable.ends_with("__LISTEN") {
            "127.0.0.1:0".clone_into(value);
        }
    }
    variables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_job_migrates_and_the_pods_serve() {
    let Some(python) = python() else { return };
    if !has_services() {
        return;
    }
    let manifests = sound(&python, "default", &json!({}));
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, content: &str| std::fs::write(folder.path().join(name), content).unwrap();
    secret("database.url", &new_database().await);
    secret("cache.url", &std::env::var("COUNTERSIGN_TEST_REDIS_URL").unwrap());
    secret("secrets.root_key", "bm90IGEga2V5LCBidXQgYXMgbG9uZyBhcyBvbmUgaXM=\n");

    let pod = &manifests.the("Deployment")["spec"]["template"];
    let served = variables(pod, folder.path());
    let as_settings = |variables: &BTreeMap<String, String>| -> Vec<(String, String)> {
        variables.iter().map(|(name, value)| (setting(name).unwrap(), value.clone())).collect()
    };
    let program = env!("CARGO_BIN_EXE_countersign");
    // Before the job has been there the pods find a database that is not theirs, and do not make it so.
    let early = run(Command::new(program).arg("serve").env_clear().envs(&served), "").unwrap_err();
    assert!(early.starts_with("countersign: "), "{early}");

    let job = &manifests.the("Job")["spec"]["template"];
    let command: Vec<_> = items(&job["spec"]["containers"][0]["args"]).map(said).collect();
    let migrated = variables(job, folder.path());
    for _ in 0..2 {
        // It may be tried again.
        run(Command::new(program).args(&command).env_clear().envs(&migrated), "").unwrap();
    }
    let node = Program::start(&as_settings(&served));
    let channel = tonic::transport::Endpoint::from_shared(node.address().await).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: String::new() };
    let answer = HealthClient::new(channel).check(request).await.unwrap().into_inner();
    assert_eq!(answer.status(), ServingStatus::Serving);
    let log = node.ended();
    let first = log.lines().next().unwrap();
    assert!(serde_json::from_str::<Value>(first).is_ok(), "the log is not JSON: {log}");
}
