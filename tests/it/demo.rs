//! The demo: every promise it shows, kept by a private server and by a running one, and its failures in a sentence.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Output, Stdio};

use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(it_walks_against_a_running_server, it_fails_in_one_sentence);

const HEADINGS: [&str; 14] = [
    "1  Ask for a code",
    "2  Sign in",
    "3  Check the token, as your services do",
    "4  Refresh",
    "5  The answer gets lost, the app asks again",
    "6  A thief replays a stolen token",
    "7  Sign in on a new device, and take that back",
    "8  A visitor without an account",
    "9  The visitor signs up, led step by step",
    "10  Sign in with the password",
    "11  Have it confirmed who somebody is",
    "12  A forgotten password",
    "13  An administrator blocks the account",
    "14  Where to go next",
];

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn assert_all_steps(output: &str) {
    let headings: Vec<_> =
        output.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).collect();
    assert_eq!(headings, HEADINGS);
    for shown in
        ["REFRESH_TOKEN_REUSED", "SESSION_ENDED", "SET_PASSWORD", "PROFILE", "upgraded_from", "ACCOUNT_BLOCKED"]
    {
        assert!(output.contains(shown), "{shown} is missing in {output}");
    }
    assert!(output.lines().all(|line| line.chars().count() <= 120), "a line is too long for a terminal: {output}");
    let is_long = |word: &str| (word.starts_with("csr_") || word.starts_with("eyJ")) && word.chars().count() > 13;
    assert_eq!(output.split_whitespace().find(|word| is_long(word)), None, "a token is shown whole");
    assert!(!output.contains('\x1b'), "colours where nobody sees them");
}

#[test]
fn it_walks_by_itself_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = demo(&[]).current_dir(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    assert!(status.success());
    let output = String::from_utf8(stdout).unwrap();
    assert_all_steps(&output);
    assert!(output.contains("a stand-in of this demo") && output.contains("Sara Ahmadi, says `http`"), "{output}");
    assert!(output.contains("the link's token"), "{output}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

async fn it_walks_against_a_running_server(backend: Backend) {
    let app = TestApp::new(backend).await;
    let url = format!("http://{}", app.node().grpc);
    let mut child = demo(&["--server", &url, "--api-key", &app.api_key]).stdin(Stdio::piped()).spawn().unwrap();
    let mut codes = child.stdin.take().unwrap();
    let mut output = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    // The server and its jobs have threads of their own, so that waiting here stops nobody.
    loop {
        let start = output.len();
        if lines.read_line(&mut output).unwrap() == 0 {
            break;
        }
        if let Some(challenge_id) = output[start..].trim().strip_prefix("challenge_id") {
            let code = app.code(challenge_id.trim()).await;
            writeln!(codes, "{code}").unwrap();
        }
    }
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
    assert!(child.wait().unwrap().success());
    assert_all_steps(&output);
    assert_eq!(output.matches("type the code that the server's log shows").count(), 4);
    assert!(output.contains("an inquiry may cost money") && output.contains("RESET_NOT_OFFERED"), "{output}");
    app.stop().await;
}

async fn it_fails_in_one_sentence(backend: Backend) {
    let app = TestApp::new(backend).await;
    let url = format!("http://{}", app.node().grpc);
    let failure = |arguments: &[&str], input: &str| {
        let mut child = demo(arguments).stdin(Stdio::piped()).spawn().unwrap();
        // A command that has failed already reads nothing more.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let Output { status, stderr, .. } = child.wait_with_output().unwrap();
        assert_eq!(status.code(), Some(1));
        let sentence = String::from_utf8(stderr).unwrap();
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        sentence
    };
    let with_key = ["--server", url.as_str(), "--api-key", app.api_key.as_str()];

    let sentence = failure(&["--server", &url, "--api-key", "csk_wrong"], "");
    assert!(sentence.contains("does not know this API key"), "{sentence}");
    let sentence = failure(&["--server", "127.0.0.1:1", "--api-key", "csk_any"], "");
    assert!(sentence.contains("http://127.0.0.1:1 cannot be reached"), "{sentence}");
    let sentence = failure(&with_key, "");
    assert!(sentence.contains("no code came on standard input"), "{sentence}");
    let sentence = failure(&with_key, "12345x\n");
    assert!(sentence.contains("otp.code"), "{sentence}");
    let sentence = failure(&[&with_key[..], &["--phone", "12"]].concat(), "");
    assert!(sentence.contains("identifier.phone"), "{sentence}");
    app.stop().await;
}
