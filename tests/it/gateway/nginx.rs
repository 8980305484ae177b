//! nginx with the configuration of `examples/nginx`, on other ports: it asks about each request over HTTP.

use std::net::SocketAddr;
use std::process::Command;

use countersign::proto::v1;
use tempfile::TempDir;

use super::envoy::SETTINGS;
use super::exchange::{get, get_as};
use super::place::{Process, file, free_ports, program, with};
use super::upstream::{Upstream, values};
use crate::harness::{Backend, TestApp, Wire, bearer, on_both_backends};

on_both_backends!(what_counts_passes_and_nothing_else, nothing_passes_without_the_service);

/// A running nginx, and the application behind it.
pub(super) struct Nginx {
    pub address: SocketAddr,
    pub application: Upstream,
    _process: Process,
    _folder: TempDir,
}

impl Nginx {
    /// In front of what is served there. None where there is no nginx and need not be.
    pub(super) async fn before(http: SocketAddr, api_key: &str) -> Option<Self> {
        let program = program("COUNTERSIGN_TEST_NGINX", "nginx")?;
        let application = Upstream::start().await;
        let [address] = free_ports();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {};", path(kind).display()));
        let port = |address: SocketAddr| format!("127.0.0.1:{}", address.port());
        let replaced = [
            ("127.0.0.1:10002", port(address)),
            ("127.0.0.1:9000", port(application.address)),
            ("127.0.0.1:8080", port(http)),
            ("http {", format!("pid {};\nhttp {{ {}", path("pid").display(), temporary.join(" "))),
        ];
        std::fs::write(path("nginx.conf"), with(&file("examples/nginx/nginx.conf"), &replaced)).unwrap();
        let key = [("csk_…", api_key.to_owned())];
        std::fs::write(path("api_key.conf"), with(&file("examples/nginx/api_key.conf"), &key)).unwrap();
        // Tests share two cores; what is tested is not how quickly the service answers then.
        let patient = [("500ms", "10s".to_owned()), ("read_timeout 1s", "read_timeout 10s".to_owned())];
        std::fs::write(path("check.conf"), with(&file("examples/nginx/check.conf"), &patient)).unwrap();
        std::fs::write(path("identity.conf"), file("examples/nginx/identity.conf")).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args([
            "-c",
            "nginx.conf",
            "-e",
            "stderr",
            "-g",
            "daemon off; master_process off;",
        ]);
        let log = path("log");
        let mut process = Process::start(&mut command, &log);
        process.listens(&[address], &log).await;
        Some(Self { address, application, _process: process, _folder: folder })
    }
}

async fn what_counts_passes_and_nothing_else(backend: Backend) {
    let app = TestApp::with(backend, &[("token.scopes", "profile")]).await;
    let Some(nginx) = Nginx::before(app.node().http, &app.api_key).await else { return };
    let person = app.sign_in("09121234567").await;
    let answer = get_as(nginx.address, "/anything", &person.access_token).await;
    assert_eq!(values(&answer, "x-auth-subject"), [person.account_id.as_str()]);
    assert_eq!(values(&answer, "x-auth-scopes"), ["profile"]);
    assert_eq!(values(&answer, "x-auth-anonymous"), ["false"]);
    assert!(values(&answer, "x-api-key").is_empty());
    // A client's word on what is needed, or its API key, changes nothing.
    let own = [("optional", "true"), ("x-api-key", app.api_key.as_str()), ("x-auth-anonymous", "false")];
    let refused = super::exchange::get(nginx.address, "/?optional=true", &own).await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    let refused = get_as(nginx.address, "/", "a.b.c").await;
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
    assert_eq!(get_as(nginx.address, "/orders/1", &person.access_token).await.status, 403);
    let answer = get(nginx.address, "/public/1", &[]).await;
    assert!(values(&answer, "x-auth-subject").is_empty());
    assert_eq!(get_as(nginx.address, "/public/1", "a.b.c").await.status, 401);
    assert_eq!(nginx.application.reached(), 2);

    app.node().auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await.unwrap();
    assert_eq!(get_as(nginx.address, "/", &person.access_token).await.status, 401);
    assert_eq!(nginx.application.reached(), 2);
    app.stop().await;
}

async fn nothing_passes_without_the_service(backend: Backend) {
    let app = TestApp::with(backend, SETTINGS).await;
    let wire = Wire::to(app.node().http).await;
    let Some(nginx) = Nginx::before(wire.address, &app.api_key).await else { return };
    let person = app.sign_in("09121234567").await;
    assert_eq!(get_as(nginx.address, "/", &person.access_token).await.status, 200);
    wire.cut();
    for path in ["/", "/public/1", "/orders/1"] {
        for _ in 0..20 {
            assert_eq!(get_as(nginx.address, path, &person.access_token).await.status, 500, "{path}");
        }
    }
    assert_eq!(nginx.application.reached(), 1);
    // nginx leaves a server that does not answer alone for ten seconds, unless it is the only one.
    wire.mend();
    assert_eq!(get_as(nginx.address, "/", &person.access_token).await.status, 200);
    // One that may not ask lets nobody through either.
    let nginx = Nginx::before(app.node().http, "csk_wrong").await.unwrap();
    assert_eq!(get_as(nginx.address, "/", &person.access_token).await.status, 403);
    assert_eq!(get(nginx.address, "/public/1", &[]).await.status, 403);
    assert_eq!(nginx.application.reached(), 0);
    app.stop().await;
}
