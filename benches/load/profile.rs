//! What a call is spent on, counted and not timed: instructions in user mode by function, as callgrind sees them. The same
//! program shows the same, whatever else the machine does. `scripts/profile` is the way in.

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::client::{self, Target, Window};
use crate::introspect::{Questions, TOKENS};
use crate::server::Server;
use crate::unary::Echoes;
use crate::{Result, check, people};

/// Long enough for thousands of calls, also where each takes fifty times as long as usual.
const WINDOW: Window = Window { warm_up: Duration::from_secs(1), measured: Duration::from_secs(5) };
/// Functions that take less than this many instructions of a call are left out.
const LEAST: f64 = 100.0;

/// Prints it for one introspection, for one token of a batch, for a gateway's question, and for the echo of the first one's
/// size.
pub(crate) async fn print(core: usize) -> Result<()> {
    let server = Server::embedded(core).await?;
    let people = people::sign_in(&server, TOKENS as usize).await?;
    let check = server.target(check::questions(&server, &people)?);
    let questions = Questions::about(&server, people).await?;
    let unary = server.target(questions.unary());
    count("one introspection", &unary, 1.0, LEAST).await?;
    count("one token of a batch", &server.target(questions.batch()), f64::from(TOKENS), LEAST / 20.0).await?;
    count("one question of a gateway", &check, 1.0, LEAST).await?;
    let echoes = Echoes::start(core, &unary.load, questions.answer)?;
    let [lean, _] = echoes.targets();
    count("one echo", &lean, 1.0, LEAST).await
}

/// Drives a target twice, and has the instructions of the second time counted: the first one fills what is kept.
async fn count(what: &str, target: &Target, parts: f64, least: f64) -> Result<()> {
    client::run(target, WINDOW).await?;
    control(target.pid, "--instr=on")?;
    let seen = client::run(target, WINDOW).await?;
    control(target.pid, "--instr=off")?;
    control(target.pid, &format!("--dump={}", what.replace(' ', "_")))?;
    let calls = f64::from(u32::try_from(seen.answers)?);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    let ours = |path: &Path| path.to_string_lossy().contains(&format!("callgrind.{}.", target.pid));
    let mut files = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let counted = files.find(|path| ours(path)).ok_or("nothing was counted: this is run by scripts/profile")?;
    let output = Command::new("callgrind_annotate").arg("--threshold=100").arg(&counted).output()?;
    writeln!(stdout(), "{what} ({calls} calls)")?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `1,234,567 (12.34%)  file:function [object]`
        let Some((number, function)) = line.trim_start().split_once(" (") else { continue };
        let Ok(instructions) = number.replace(',', "").parse::<u32>() else { continue };
        let each = f64::from(instructions) / calls / parts;
        let function = function.split_once("%)").map_or(function, |(_, name)| name.trim());
        if each >= least {
            writeln!(stdout(), "{each:>10.1}  {}", function.rsplit_once(" [").map_or(function, |(name, _)| name))?;
        }
    }
    fs::remove_file(counted)?;
    Ok(())
}

/// Tells a program that runs under callgrind what to do.
fn control(pid: u32, what: &str) -> Result<()> {
    let output = Command::new("callgrind_control").arg(what).arg(pid.to_string()).output();
    let output = output.map_err(|error| format!("callgrind_control (of valgrind) cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("{what} was not heard: {}", String::from_utf8_lossy(&output.stdout)).into());
    }
    Ok(())
}
