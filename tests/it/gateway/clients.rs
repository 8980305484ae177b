//! Clients in other languages (`tests/clients`), with the libraries that teams there use.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::harness::{Backend, TestApp, led_to, on_both_backends};

on_both_backends!(a_service_in_python_gets_along, a_service_in_node_gets_along);

/// How many seconds a client may take.
const PATIENCE: &str = "120";

/// Runs a client to its end, and gives it the code it asks for. What it has seen.
fn run(app: &TestApp, program: &Path, script: &str) -> Vec<String> {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE).arg(program).arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script));
    command.env("COUNTERSIGN_ADDRESS", app.node().grpc.to_string()).env("COUNTERSIGN_API_KEY", &app.api_key);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut seen = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        match line.strip_prefix("challenge ") {
            Some(challenge) => {
                let code = Handle::current().block_on(app.code(challenge));
                writeln!(input, "{code}").unwrap();
            }
            None => seen.push(line),
        }
    }
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert!(child.wait().unwrap().success(), "{complaint}\nafter {seen:#?}");
    seen
}

/// What either of them is to see.
fn check(seen: &[String]) {
    let expected = [
        "health SERVING",
        "refused INVALID_ARGUMENT countersign ERROR_REASON_INVALID_FIELD",
        "refused UNAUTHENTICATED countersign ERROR_REASON_CREDENTIALS_MISSING",
        "introspected true",
        "profile true",
        "refreshed true",
        "watching snapshot_begin",
        "snapshot true",
        "revoked true",
        "told true",
        "refused UNAUTHENTICATED countersign ERROR_REASON_SESSION_ENDED",
        "done",
    ];
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (line, expected) in seen.iter().zip(expected) {
        assert!(line.to_ascii_lowercase().starts_with(&expected.to_ascii_lowercase()), "{line} is not {expected}");
    }
}

async fn a_service_in_python_gets_along(backend: Backend) {
    let Some(python) = led_to("COUNTERSIGN_TEST_PYTHON") else { return };
    let app = TestApp::new(backend).await;
    check(&block_in_place(|| run(&app, &python, "python/client.py")));
    app.stop().await;
}

async fn a_service_in_node_gets_along(backend: Backend) {
    // The script finds its packages by the same variable.
    if led_to("COUNTERSIGN_TEST_NODE_MODULES").is_none() {
        return;
    }
    let app = TestApp::new(backend).await;
    check(&block_in_place(|| run(&app, Path::new("node"), "node/client.js")));
    app.stop().await;
}
