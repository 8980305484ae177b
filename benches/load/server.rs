//! The real server: the binary of this crate, in a folder of its own, configured through its environment as anybody would.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::Result;
use crate::child::{Process, under_test};
use crate::client::Target;
use crate::request::Load;

/// A server that is serving.
pub(crate) struct Server {
    pub(crate) process: Process,
    address: SocketAddr,
    /// Where HTTP is served.
    pub(crate) http: SocketAddr,
    /// For calls that are not measured.
    pub(crate) channel: Channel,
    /// From its start until its health service said that it serves.
    pub(crate) started_in: Duration,
    log: PathBuf,
    folder: TempDir,
}

/// A server may take this long, with whatever it finds in its database.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a benchmark asks for differs from what people do, and the defaults guard against it.
const SETTINGS: &[(&str, &str)] = &[
    ("COUNTERSIGN__PROFILE", "development"),
    ("COUNTERSIGN__GRPC__WORKERS", "1"),
    ("COUNTERSIGN__CACHE__URL", "memory:"),
    ("COUNTERSIGN__TOKEN__ACCESS_LIFETIME", "1h"),
    // What it would choose on one core.
    ("COUNTERSIGN__PASSWORD__THREADS", "1"),
    // Codes are asked for as fast as can be.
    ("COUNTERSIGN__NOTIFY__QUEUE", "1000000"),
];
/// Limits that are counted all the same, but have room for everything.
const LIMITS: &[&str] = &[
    "CODES_PER_IDENTIFIER_AND_NETWORK__COUNT",
    "CODES_PER_IDENTIFIER__COUNT",
    "CODES_PER_NETWORK__COUNT",
    "CODES_IN_ALL__COUNT",
    "UNUSED_CODES__NETWORK",
    "FAILED_CODES__COUNT",
    "FAILED_PASSWORDS__COUNT",
    "ATTEMPTS_PER_IDENTIFIER__COUNT",
    "ATTEMPTS_PER_NETWORK__COUNT",
    "REGISTRATIONS_PER_NETWORK__COUNT",
];

impl Server {
    /// Starts the embedded variant with an empty database, and waits until it serves.
    pub(crate) async fn embedded(core: usize) -> Result<Self> {
        Self::in_folder(core, TempDir::with_prefix("countersign-bench-")?).await
    }

    /// Starts the embedded variant with the database that another left behind.
    pub(crate) async fn in_folder(core: usize, folder: TempDir) -> Result<Self> {
        let database = embedded_database(&folder);
        Self::start(core, folder, &database, &[]).await
    }

    /// Starts it on a database server, with settings of its own.
    pub(crate) async fn on(core: usize, database: &str, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start(core, TempDir::with_prefix("countersign-bench-")?, database, settings).await
    }

    /// Ends it, and leaves its database.
    pub(crate) fn into_folder(self) -> TempDir {
        self.folder
    }

    async fn start(core: usize, folder: TempDir, database: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let (grpc, http) = (free_port()?, free_port()?);
        let log = folder.path().join("log");
        let output = File::create(&log)?;

        let mut command = under_test(core, env!("CARGO_BIN_EXE_countersign"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"COUNTERSIGN")) {
            command.env_remove(name);
        }
        command
            .current_dir(folder.path())
            .env("NO_COLOR", "1")
            .envs(SETTINGS.iter().copied())
            .envs(LIMITS.iter().map(|limit| (format!("COUNTERSIGN__LIMITS__{limit}"), "4000000000")))
            .envs(settings.iter().copied())
            .env("COUNTERSIGN__DATABASE__URL", database)
            .env("COUNTERSIGN__GRPC__LISTEN", grpc.to_string())
            .env("COUNTERSIGN__HTTP__LISTEN", http.to_string())
            .stdout(output.try_clone()?)
            .stderr(output);
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        let channel = Endpoint::from_shared(format!("http://{grpc}"))?.connect_lazy();
        while !serves(channel.clone()).await {
            if process.has_ended()? || started.elapsed() > PATIENCE {
                return Err(format!("the server does not serve. It says:\n{}", fs::read_to_string(&log)?).into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { process, address: grpc, http, channel, started_in: started.elapsed(), log, folder })
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// It, as what a load is driven at.
    pub(crate) fn target(&self, load: Load) -> Target {
        Target { address: self.address, pid: self.process.id(), load: Arc::new(load) }
    }

    /// What it has printed, to either output.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    /// The same from a place on, and where that ends: after the last whole line.
    pub(crate) fn log_after(&self, place: u64) -> Result<(String, u64)> {
        let mut file = File::open(&self.log)?;
        file.seek(SeekFrom::Start(place))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        let end = place + text.len() as u64;
        Ok((text, end))
    }

    /// The API key that it prints in development.
    pub(crate) fn api_key(&self) -> Result<String> {
        let log = self.log()?;
        let start = log.find("csk_").ok_or("the server has not printed an API key")?;
        Ok(log[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect())
    }
}

/// The URL of the embedded database in a folder.
pub(crate) fn embedded_database(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("countersign.db").display())
}

/// Whether whoever listens there says that it serves.
async fn serves(channel: Channel) -> bool {
    let answer = HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await;
    answer.is_ok_and(|answer| answer.get_ref().status() == ServingStatus::Serving)
}

/// An address on which nobody listens, unless somebody is quicker.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
