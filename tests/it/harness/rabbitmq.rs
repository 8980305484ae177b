//! A RabbitMQ of a test's own, which it may kill and start again. `scripts/with-services` says where the program is.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign::random::Random;
use tempfile::TempDir;
use tokio::time::sleep;

const SERVER: &str = "COUNTERSIGN_TEST_RABBITMQ";
/// Where its ports come from: below those that outgoing connections take, beside those of other servers.
const PORTS: std::ops::Range<u16> = 8_000..10_000;
/// How long it may take to start, on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(2);
/// One core, and no busy waiting: tests have no more.
const ERLANG: &str = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none";

/// A broker that no other test uses.
pub(crate) struct OwnRabbit {
    pub port: u16,
    program: PathBuf,
    names: Child,
    names_port: u16,
    /// The script that the broker runs under; it ends with it.
    script: Child,
    folder: TempDir,
}

impl OwnRabbit {
    /// None where RabbitMQ is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        let Some(program) = std::env::var_os(SERVER).map(PathBuf::from) else {
            assert!(std::env::var_os("CI").is_none(), "{SERVER} must be set where CI is set");
            eprintln!("skipped: {SERVER} is not set; scripts/test sets it");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let [port, names_port] = [free_port(), free_port()];
        // Erlang's programs find each other through this; were it not ours, one would be left behind.
        let names = Command::new("epmd")
            .args(["-port", &names_port.to_string(), "-address", "127.0.0.1"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let script = spawn(&program, folder.path(), port, names_port);
        let broker = Self { port, program, names, names_port, script, folder };
        broker.is_ready().await;
        Some(broker)
    }

    /// Where the program connects to: as whoever, behind whichever port.
    pub(crate) fn url(port: u16) -> String {
        format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).unwrap();
        Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        self.script.wait().unwrap();
        std::fs::remove_file(self.folder.path().join("out")).unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.script = spawn(&self.program, self.folder.path(), self.port, self.names_port);
        self.is_ready().await;
    }

    async fn is_ready(&self) {
        let begun = Instant::now();
        let said = || std::fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
        while !said().contains("Server startup complete") {
            assert!(begun.elapsed() < PATIENCE, "RabbitMQ does not start: {}", said());
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for OwnRabbit {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(self.folder.path().join("pid")) {
            let _ = Command::new("kill").args(["-KILL", pid.trim()]).stderr(Stdio::null()).status();
        }
        for child in [&mut self.script, &mut self.names] {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

fn spawn(program: &Path, folder: &Path, port: u16, names_port: u16) -> Child {
    let place = |name: &str| folder.join(name);
    std::fs::write(place("rabbitmq.conf"), format!("listeners.tcp.1 = 127.0.0.1:{port}\n")).unwrap();
    std::fs::write(place("env.conf"), "").unwrap();
    std::fs::write(place("plugins"), "[].").unwrap();
    let out = File::create(place("out")).unwrap();
    Command::new(program)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("ERL_EPMD_PORT", names_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", format!("countersign-{port}@localhost"))
        .env("RABBITMQ_DIST_PORT", free_port().to_string())
        .env("RABBITMQ_CONF_ENV_FILE", place("env.conf"))
        .env("RABBITMQ_CONFIG_FILE", place("rabbitmq.conf"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", place("plugins"))
        .env("RABBITMQ_MNESIA_BASE", place("data"))
        .env("RABBITMQ_LOG_BASE", place("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_PID_FILE", place("pid"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", ERLANG)
        .stdin(Stdio::null())
        .stderr(out.try_clone().unwrap())
        .stdout(out)
        .spawn()
        .unwrap()
}

/// A port that nobody listens on.
fn free_port() -> u16 {
    loop {
        let port = PORTS.start + u16::try_from(Random.below(u32::try_from(PORTS.len()).unwrap())).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
