//! The program itself, as a process of its own on an installation that a test has prepared.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running program, which ends with the test. What it prints goes to files.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    /// Starts a server with these settings.
    pub(crate) fn start(settings: &[(String, String)]) -> Self {
        Self::start_among(settings, &[])
    }

    /// The same, with variables beside the settings.
    pub(crate) fn start_among(settings: &[(String, String)], variables: &[(&str, &str)]) -> Self {
        Self::start_at(Path::new(env!("CARGO_BIN_EXE_countersign")), settings, variables)
    }

    /// The same of a program of another release.
    pub(crate) fn start_at(program: &Path, settings: &[(String, String)], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = |name: &str| format!("COUNTERSIGN__{}", name.to_ascii_uppercase().replace('.', "__"));
        let file = |name: &str| Stdio::from(File::create(folder.path().join(name)).unwrap());
        let child = Command::new(program)
            .arg("serve")
            .envs(settings.iter().map(|(own, value)| (name(own), value)))
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdout(file("out"))
            .stderr(file("err"))
            .spawn();
        Self { child: child.unwrap(), folder }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it says that it serves, once it does.
    pub(crate) async fn address(&self) -> String {
        for _ in 0..1_000 {
            let printed = std::fs::read_to_string(self.folder.path().join("out")).unwrap();
            let address = printed.lines().find_map(|line| line.trim().strip_prefix("gRPC"));
            if let Some(address) = address.filter(|_| printed.contains("HTTP")) {
                return format!("http://{}", address.trim());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the program does not serve: {}", self.log());
    }

    /// Where it says that it serves HTTP, once it serves.
    pub(crate) fn http_address(&self) -> String {
        let printed = std::fs::read_to_string(self.folder.path().join("out")).unwrap();
        printed.lines().find_map(|line| line.trim().strip_prefix("HTTP")).expect("it does not serve").trim().to_owned()
    }

    /// The API key with every permission that it prints in development, once it serves.
    pub(crate) fn api_key(&self) -> String {
        for _ in 0..500 {
            let printed = std::fs::read_to_string(self.folder.path().join("out")).unwrap();
            // Printed whole once there is a line after it: a moment after the addresses.
            if let Some((key, _)) = printed.split_once("development API key").and_then(|(_, key)| key.split_once('\n'))
            {
                return key.trim().to_owned();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no key is printed: {}", self.log());
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The code that it shows in the log, in place of a message, once it does.
    pub(crate) async fn code(&self, challenge_id: &str) -> Option<String> {
        for _ in 0..250 {
            let log = self.log();
            let line = log.lines().find(|line| line.contains(challenge_id) && line.contains("code="));
            if let Some((_, code)) = line.and_then(|line| line.rsplit_once("code=")) {
                return Some(code.chars().take_while(char::is_ascii_digit).collect());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Kills it, as nothing that it does can prevent.
    pub(crate) fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap();
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        let pid = self.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
    }

    /// Waits until it has ended by itself: how, and what it has logged.
    pub(crate) async fn end(mut self, patience: Duration) -> (Option<i32>, String) {
        let started = std::time::Instant::now();
        while started.elapsed() < patience {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it has not ended within {patience:?}: {}", self.log());
    }

    /// Ends it; what it has logged.
    pub(crate) fn ended(mut self) -> String {
        self.kill();
        self.log()
    }

    /// Asks it to end in good order; how long that took, and what it has logged.
    pub(crate) async fn stopped(mut self) -> (Duration, String) {
        let began = Instant::now();
        let asked = Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status().unwrap();
        assert!(asked.success());
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_mins(1), "it does not end: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        (began.elapsed(), self.log())
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join("err")).unwrap()).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}
