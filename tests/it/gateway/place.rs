//! Where the programs of others lie, on which ports they listen, and that they end with the test.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

/// A program that a variable or PATH leads to; `scripts/test` brings all of them. None where it is missing and may be.
pub(super) fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let by_variable = std::env::var_os(variable).map(PathBuf::from);
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let also = [PathBuf::from("/usr/sbin")];
    let mut places = std::env::split_paths(&folders).chain(also).map(|folder| folder.join(name));
    let found = by_variable.or_else(|| places.find(|path| path.is_file()));
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{name} must be there where CI is set");
        eprintln!("skipped: {name} is not installed and {variable} not set; scripts/test sets it");
    }
    found
}

/// A file of the repository.
pub(super) fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A text in which each of these occurs and is replaced.
pub(super) fn with(text: &str, replaced: &[(&str, String)]) -> String {
    replaced.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example does not have {from}");
        text.replace(from, to)
    })
}

/// Ports that nobody listens on.
pub(super) fn free_ports<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// A process that ends with the test.
pub(super) struct Process(Child);

impl Process {
    /// Starts it; what it says goes to `log`.
    pub(super) fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    /// Waits until all of these ports take connections.
    pub(super) async fn listens(&mut self, ports: &[SocketAddr], log: &Path) {
        for _ in 0..600 {
            let mut open = 0;
            for port in ports {
                open += usize::from(TcpStream::connect(port).await.is_ok());
            }
            if open == ports.len() {
                return;
            }
            let ended = self.0.try_wait().unwrap();
            assert!(ended.is_none(), "it has ended: {}", std::fs::read_to_string(log).unwrap());
            sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not listen: {}", std::fs::read_to_string(log).unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
