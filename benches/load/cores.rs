//! One core for the client, one for whoever is under test.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{env, fs};

use crate::Result;

/// The core of the process under test, once this process is on one of its own.
///
/// A process cannot move itself without unsafe code, so the first call starts the program anew under `taskset`, with the
/// choice in the environment, and does not come back.
pub(crate) fn split() -> Result<usize> {
    const CHOICE: &str = "COUNTERSIGN_BENCH_SERVER_CORE";
    if let Ok(core) = env::var(CHOICE) {
        return Ok(core.parse()?);
    }
    let allowed = allowed()?;
    let client = *allowed.first().ok_or("no core is allowed")?;
    let siblings = siblings(client);
    let server = allowed.iter().rfind(|core| !siblings.contains(core)).or_else(|| allowed.get(1)).ok_or(
        "two cores are needed: one for the client, one for the server (see the line Cpus_allowed_list in /proc/self/status)",
    )?;
    let error = Command::new("taskset")
        .args(["--cpu-list", &client.to_string()])
        .arg(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(CHOICE, server.to_string())
        .exec();
    Err(format!("taskset (of util-linux) cannot be started: {error}").into())
}

/// The cores that this process may run on.
fn allowed() -> Result<Vec<usize>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse(list.ok_or("this benchmark needs Linux")?.trim())
}

/// Threads of the same physical core, itself among them.
fn siblings(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    fs::read_to_string(path).ok().and_then(|list| parse(list.trim()).ok()).unwrap_or_else(|| vec![core])
}

/// Reads a list such as `0,2-5`.
fn parse(list: &str) -> Result<Vec<usize>> {
    let mut cores = Vec::new();
    for part in list.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        cores.extend(from.parse::<usize>()?..=to.parse()?);
    }
    Ok(cores)
}
