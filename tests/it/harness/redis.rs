//! Redis servers of a test's own, which it may stop, freeze, empty and start again: one by itself here, several that watch
//! over each other in [`sentinel`] and [`cluster`].

mod cluster;
mod sentinel;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign::random::Random;
use tempfile::TempDir;
use tokio::time::sleep;

use super::certificates::Authority;

pub(crate) use self::cluster::OwnCluster;
pub(crate) use self::sentinel::{Fall, OwnSentinel};

/// How long a server may take to answer a question of the test's.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where servers get their ports from. Those that servers of a cluster talk to each other through are ten thousand higher;
/// all are below those that outgoing connections take.
const PORTS: std::ops::Range<u16> = 10_000..20_000;
/// What is true of every server: nothing is written to disk, and a replica need not wait for others to join it.
const OPTIONS: [&str; 8] =
    ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"];

/// A Redis that no other test uses.
pub(crate) struct OwnRedis {
    pub port: u16,
    process: Child,
    folder: TempDir,
}

impl OwnRedis {
    /// None where `redis-server` is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        if !is_installed() {
            return None;
        }
        Some(Self::with(&[]).await)
    }

    /// One that speaks TLS on another port as well, and the file with the authority that vouches for it. The certificate is
    /// for `localhost` alone.
    pub(crate) async fn with_tls() -> Option<(Self, u16, PathBuf)> {
        if !is_installed() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, &authority.pem).unwrap();
        let (certificate, key) = authority.certify(&["localhost"]).write(folder.path());
        let port = free_port();
        let options = format!(
            "--tls-port {port} --tls-auth-clients no --tls-key-file {} --tls-cert-file {} --tls-ca-cert-file {}",
            key.display(),
            certificate.display(),
            ca_file.display(),
        );
        let options: Vec<_> = OPTIONS.into_iter().chain(options.split(' ')).collect();
        Some((Self::in_folder(folder, &options).await, port, ca_file))
    }

    /// One with options of its own.
    async fn with(options: &[&str]) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), &[OPTIONS.as_slice(), options].concat()).await
    }

    /// One with these options alone, in a folder that may hold more of them.
    async fn in_folder(folder: TempDir, options: &[&str]) -> Self {
        let port = free_port();
        let server = Self { port, process: spawn(port, &folder, options), folder };
        server.answers().await;
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn answers(&self) {
        until("redis-server answers", || self.try_ask("PING").is_some_and(|answer| answer.starts_with("+PONG"))).await;
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.start_again_with(&[]).await;
    }

    async fn start_again_with(&mut self, options: &[&str]) {
        self.process = spawn(self.port, &self.folder, &[OPTIONS.as_slice(), options].concat());
        self.answers().await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
    }

    /// Sends one command in the plainest form; what comes back, as it comes.
    pub(crate) fn tell(&self, command: &str) -> String {
        self.try_ask(command).unwrap_or_else(|| panic!("no answer to {command}"))
    }

    fn is_alive(&self) -> bool {
        self.try_ask("PING").is_some()
    }

    fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = vec![0; 64 * 1024];
        let length = stream.read(&mut answer).ok().filter(|length| *length > 0)?;
        answer.truncate(length);
        Some(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether there is a `redis-server`. Where `CI` is set there must be.
fn is_installed() -> bool {
    let installed = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !installed {
        assert!(std::env::var_os("CI").is_none(), "redis-server must be installed where CI is set");
        eprintln!("skipped: redis-server is not installed");
    }
    installed
}

/// Waits until something has come about.
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("waited thirty seconds in vain until {what}");
}

/// A port that nobody listens on, nor on the one ten thousand higher.
pub(super) fn free_port() -> u16 {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let port = PORTS.start + u16::from_be_bytes(Random.bytes()) % (PORTS.end - PORTS.start);
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

fn spawn(port: u16, folder: &TempDir, options: &[&str]) -> Child {
    Command::new("redis-server")
        // A file of settings comes first.
        .args(options)
        .args(["--port", &port.to_string(), "--dir", &folder.path().display().to_string()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
