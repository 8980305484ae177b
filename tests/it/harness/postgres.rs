//! PostgreSQL servers of a test's own, which it may stop in every way, start again, and let a standby take over from.

use std::fs::File;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::time::sleep;

use super::redis::free_port;
use super::unique;

/// What is true of every server. What a killed process wrote is in the system's memory, and tests pull no plugs.
const OPTIONS: [&str; 5] = [
    "fsync=off",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=32MB",
];

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Clients are sent away, and everything is put in order.
    Fast,
    /// Clients are sent away, and nothing is put in order.
    Immediate,
    /// Nobody is told anything.
    Killed,
}

/// A PostgreSQL that no other test uses.
pub(crate) struct OwnPostgres {
    pub port: u16,
    process: Child,
    folder: TempDir,
    programs: PathBuf,
}

impl OwnPostgres {
    /// None where PostgreSQL's programs are not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "PostgreSQL must be installed where CI is set");
            eprintln!("skipped: PostgreSQL's programs are not installed");
            return None;
        };
        let folder = folder();
        let set_up = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        run(as_postgres(&programs, "initdb", &folder).args(set_up).arg("-D").arg(data(&folder)));
        Some(Self::on(folder, programs).await)
    }

    /// A server that follows this one and has everything that is acknowledged from now on.
    pub(crate) async fn standby(&self) -> Self {
        let folder = folder();
        let port = self.port.to_string();
        let how = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R", "--checkpoint=fast", "--no-sync"];
        run(as_postgres(&self.programs, "pg_basebackup", &folder).args(how).arg("-D").arg(data(&folder)));
        let standby = Self::on(folder, self.programs.clone()).await;
        self.tell("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.tell("SELECT pg_reload_conf()").await;
        for _ in 0..600 {
            if self.is("SELECT EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')").await {
                return standby;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the standby does not follow");
    }

    async fn on(folder: TempDir, programs: PathBuf) -> Self {
        let port = free_port();
        let process = spawn(&programs, &folder, port);
        let mut server = Self { port, process, folder, programs };
        server.answers().await;
        server
    }

    /// A database of its own, by its URL.
    pub(crate) async fn new_database(&self) -> String {
        let name = unique("test_");
        self.tell(&format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs one statement.
    pub(crate) async fn tell(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Whether something holds.
    pub(crate) async fn is(&self, question: &str) -> bool {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(question.to_owned())).fetch_one(&mut connection).await.unwrap()
    }

    /// A standby takes over.
    pub(crate) async fn promote(&self) {
        assert!(self.is("SELECT pg_promote(true, 20)").await, "the standby does not take over");
    }

    pub(crate) fn end(&mut self, how: End) {
        match how {
            End::Fast => self.signal("-INT"),
            End::Immediate => self.signal("-QUIT"),
            End::Killed => self.process.kill().unwrap(),
        }
        self.process.wait().unwrap();
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = spawn(&self.programs, &self.folder, self.port);
        self.answers().await;
    }

    fn signal(&self, signal: &str) {
        Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap();
    }

    /// Waits until it does. One that was killed leaves processes behind for a moment, and a new one does not start beside them.
    async fn answers(&mut self) {
        for _ in 0..600 {
            if PgConnection::connect(&self.url("postgres")).await.is_ok() {
                return;
            }
            if self.process.try_wait().unwrap().is_some() {
                self.process = spawn(&self.programs, &self.folder, self.port);
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("PostgreSQL does not answer: {}", std::fs::read_to_string(self.folder.path().join("log")).unwrap());
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.process.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("-QUIT");
            let _ = self.process.wait();
        }
    }
}

/// A folder that belongs to whoever PostgreSQL runs as.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    if is_root() {
        let id = |option| {
            let told = Command::new("id").args([option, "postgres"]).output().unwrap().stdout;
            String::from_utf8(told).unwrap().trim().parse().ok()
        };
        chown(folder.path(), id("-u"), id("-g")).unwrap();
    }
    folder
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|told| told.stdout == b"0\n")
}

/// One of PostgreSQL's programs, as somebody whom it agrees to run for.
fn as_postgres(programs: &Path, program: &str, folder: &TempDir) -> Command {
    let program = programs.join(program);
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder.path()).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn spawn(programs: &Path, folder: &TempDir, port: u16) -> Child {
    let log = || File::options().append(true).create(true).open(folder.path().join("log")).unwrap();
    let mut command = as_postgres(programs, "postgres", folder);
    command.arg("-D").arg(data(folder)).args(["-p", &port.to_string()]);
    command.args(OPTIONS.iter().flat_map(|option| ["-c", option]));
    command.stdout(log()).stderr(log()).spawn().unwrap()
}

/// Where PostgreSQL's server programs lie; Debian keeps them out of `PATH`, a folder for each version.
fn programs() -> Option<PathBuf> {
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    let mut versions: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let versions = versions.into_iter().rev().map(|path| path.join("bin"));
    let in_path = std::env::var_os("PATH");
    let in_path: Vec<_> = in_path.iter().flat_map(std::env::split_paths).collect();
    told.into_iter().chain(versions).chain(in_path).find(|folder| folder.join("initdb").is_file())
}
