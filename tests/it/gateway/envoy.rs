//! An Envoy with the configuration of `examples/envoy`, on other ports.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::place::{Process, file, free_ports, program, with};
use super::upstream::Upstream;
use crate::harness::TestApp;

/// What a token must be good for on some of the example's routes.
pub(super) const SETTINGS: &[(&str, &str)] = &[("token.scopes", "orders.read,profile")];

/// A running Envoy, and the application behind it.
pub(super) struct Envoy {
    /// Requests are judged by the service here,
    pub judged: SocketAddr,
    /// and verified by Envoy itself here.
    pub verified: SocketAddr,
    pub application: Upstream,
    _process: Process,
    _folder: TempDir,
}

impl Envoy {
    /// In front of an installation's first node. None where there is no Envoy and need not be.
    pub(super) async fn before(app: &TestApp) -> Option<Self> {
        Self::start(app.node().grpc, app.node().http, &app.api_key, &[]).await
    }

    /// With a few more words of the example replaced.
    pub(super) async fn start(
        grpc: SocketAddr,
        http: SocketAddr,
        api_key: &str,
        more: &[(&str, String)],
    ) -> Option<Self> {
        let program = program("COUNTERSIGN_TEST_ENVOY", "envoy")?;
        let application = Upstream::start().await;
        let [judged, verified] = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let [descriptor, configuration, log] =
            ["countersign.binpb", "envoy.yaml", "log"].map(|name| folder.path().join(name));
        describe(&descriptor);
        let port = |address: SocketAddr| format!("port_value: {}", address.port());
        let mut replaced = vec![
            ("port_value: 10000", port(judged)),
            ("port_value: 10001", port(verified)),
            ("port_value: 9000", port(application.address)),
            ("port_value: 50051", port(grpc)),
            ("port_value: 8080", port(http)),
            // Tests share two cores; what is tested is not how quickly the service answers then.
            ("timeout: 0.5s", "timeout: 10s".to_owned()),
            ("proto_descriptor: countersign.binpb", format!("proto_descriptor: {}", descriptor.display())),
        ];
        replaced.extend(more.iter().map(|(from, to)| (*from, to.clone())));
        std::fs::write(&configuration, with(&file("examples/envoy/envoy.yaml"), &replaced)).unwrap();
        let mut command = Command::new(program);
        command.arg("-c").arg(&configuration).args(["--concurrency", "1", "--use-dynamic-base-id"]);
        command.args(["--log-level", "warn"]).env("COUNTERSIGN_API_KEY", api_key);
        let mut process = Process::start(&mut command, &log);
        process.listens(&[judged, verified], &log).await;
        Some(Self { judged, verified, application, _process: process, _folder: folder })
    }
}

/// Writes the descriptors to a file, as operators do it.
fn describe(file: &std::path::Path) {
    let output = std::fs::File::create(file).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    assert!(command.arg("descriptor").stdout(Stdio::from(output)).status().unwrap().success());
    assert_eq!(std::fs::read(file).unwrap(), countersign::proto::DESCRIPTORS);
}
