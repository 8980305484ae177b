//! The program itself, run the way an operator runs it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use countersign::proto::v1::token_service_client::TokenServiceClient;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// Longer than anything here takes, but for a defect.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a command ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Outcome {
    /// It worked; what it printed.
    #[track_caller]
    pub(super) fn works(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// It failed with one clear sentence, which is given back.
    #[track_caller]
    pub(super) fn fails(self) -> String {
        assert!(self.code.is_some_and(|code| code != 0), "{self:?}");
        assert!(self.out.is_empty(), "{self:?}");
        let said: Vec<_> = self.err.lines().filter(|line| !line.is_empty()).collect();
        assert!(said.last().is_some_and(|line| line.starts_with("countersign: ")), "{self:?}");
        self.is_decent();
        said[said.len() - 1].to_owned()
    }

    /// Nothing in it frightens anybody.
    #[track_caller]
    pub(super) fn is_decent(&self) {
        for word in ["panicked", "backtrace", "RUST_BACKTRACE", "stack", "Err(", SECRET] {
            assert!(!self.err.contains(word) && !self.out.contains(word), "{word} in {self:?}");
        }
    }
}

/// A password that no output may contain.
pub(super) const SECRET: &str = "hush-6f3a";

/// An installation on SQLite in a folder of its own.
pub(super) struct Place {
    pub folder: TempDir,
    settings: Vec<(String, String)>,
}

impl Place {
    pub(super) fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), settings: Vec::new() };
        place.with("GRPC__LISTEN", "127.0.0.1:0").with("HTTP__LISTEN", "127.0.0.1:0").with("GRPC__WORKERS", "1")
    }

    /// One more setting from the environment.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((format!("COUNTERSIGN__{name}"), value.to_owned()));
        self
    }

    pub(super) fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub(super) fn database(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("countersign-data/countersign.db").display())
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, b"")
    }

    pub(super) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut child = self.start(arguments);
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writing = thread::spawn(move || drop(stdin.write_all(&input)));
        let (out, err) = (collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap()));
        let code = wait(&mut child);
        writing.join().unwrap();
        Outcome { code, out: out.join().unwrap(), err: err.join().unwrap() }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let path = Path::new(env!("CARGO_BIN_EXE_countersign"));
        let mut command = Command::new(path);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.envs(self.settings.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Starts a server and waits until it says where it serves.
    pub(super) fn serve(&self) -> Server {
        let mut child = self.start(&["serve"]);
        let lines = follow(child.stdout.take().unwrap());
        let err = child.stderr.take().unwrap();
        let log = collect(err);
        let mut server = Server { child, lines, log: Some(log), said: Vec::new(), grpc: None, http: None };
        while server.grpc.is_none() || server.http.is_none() {
            server.read();
        }
        server
    }
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        from.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    })
}

fn follow(from: ChildStdout) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
    lines
}

fn wait(child: &mut Child) -> Option<i32> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    panic!("the program did not end");
}

/// A running server.
pub(super) struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Option<thread::JoinHandle<String>>,
    pub said: Vec<String>,
    grpc: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

impl Server {
    fn read(&mut self) {
        let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
            let log = self.log.take().map(thread::JoinHandle::join);
            panic!("the server does not say where it serves: {:?} {log:?}", self.said);
        };
        let word = |label: &str| line.trim_start().strip_prefix(label).map(|rest| rest.trim().to_owned());
        if let Some(address) = word("gRPC ") {
            self.grpc = address.parse().ok();
        }
        if let Some(address) = word("HTTP ") {
            self.http = address.trim_start_matches("https://").trim_start_matches("http://").parse().ok();
        }
        self.said.push(line);
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn grpc(&self) -> SocketAddr {
        self.grpc.unwrap()
    }

    pub(super) fn http(&self) -> SocketAddr {
        self.http.unwrap()
    }

    pub(super) async fn tokens(&self) -> TokenServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc())).unwrap();
        TokenServiceClient::new(endpoint.connect().await.unwrap())
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) fn terminate(mut self) -> Outcome {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        let code = wait(&mut self.child);
        let err = self.log.take().unwrap().join().unwrap();
        self.said.extend(self.lines.try_iter());
        Outcome { code, out: self.said.join("\n"), err }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless where it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
