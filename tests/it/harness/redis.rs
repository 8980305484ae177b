//! A Redis of a test's own, which it may stop, freeze, empty and start again.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign::cache::Cache;
use countersign::clock::Clock;
use tokio::time::sleep;

/// How long a Redis may take to answer while it starts.
const PATIENCE: Duration = Duration::from_millis(250);

/// A Redis that no other test uses.
pub(crate) struct OwnRedis {
    port: u16,
    process: Child,
}

impl OwnRedis {
    /// None where `redis-server` is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        let installed = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
        if !installed {
            assert!(std::env::var_os("CI").is_none(), "redis-server must be installed where CI is set");
            eprintln!("skipped: redis-server is not installed");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { port, process: spawn(port) };
        server.answers().await;
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn answers(&self) {
        for _ in 0..200 {
            if Cache::connect(&self.url(), "probe", PATIENCE, Clock::System).await.is_ok() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("redis-server did not come up");
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(self.port);
        self.answers().await;
    }

    pub(crate) fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
    }

    /// Sends one command in the plainest form.
    pub(crate) fn tell(&self, command: &str) {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
