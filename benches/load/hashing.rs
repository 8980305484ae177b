//! The yardstick for passwords: bare argon2 hashes of the same cost as the server's, one after the other, on one thread with
//! the priority of the server's, in memory that is allocated once.

use std::io::{Read, Write, stdout};
use std::process::Stdio;
use std::time::{Duration, Instant};
use std::{env, process};

use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::Result;
use crate::child::{CpuTime, Process, pinned};
use crate::client::Window;
use crate::people::PASSWORD;

/// The first argument of a process that hashes.
pub(crate) const ARGUMENT: &str = "--be-hasher";

/// What hashing lets go first. A neighbour on the machine must slow this down as it does the server.
const NICENESS: &str = "10";

/// What was seen in a window.
pub(crate) struct Hashes {
    /// How many in a second.
    pub(crate) rate: f64,
    /// The CPU time of one, in microseconds.
    pub(crate) cpu: f64,
}

/// Hashes for a window, in a process of its own. Nothing else is going on meanwhile, so that it may block this one.
pub(crate) fn run(core: usize, window: Window) -> Result<Hashes> {
    let spans = [window.warm_up, window.measured].map(|span| span.as_millis().to_string());
    let mut command = pinned(core, "nice");
    command.args(["-n", NICENESS]).arg(env::current_exe()?).arg(ARGUMENT).args(spans).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let mut said = String::new();
    process.stdout()?.read_to_string(&mut said)?;
    let (rate, cpu) = said.trim().split_once(' ').ok_or("the hashing process has failed")?;
    Ok(Hashes { rate: rate.parse()?, cpu: cpu.parse()? })
}

/// Is that process: hashes, and prints what came of it.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut span = || Result::Ok(Duration::from_millis(arguments.next().ok_or("a span is missing")?.parse()?));
    let (warm_up, measured) = (span()?, span()?);
    let params = cost()?;
    let mut blocks = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut hash = [0; 32];
    let mut hash_for = |span: Duration| {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < span {
            argon2
                .hash_password_into_with_memory(PASSWORD.as_bytes(), b"salt of 16 bytes", &mut hash, &mut blocks)
                .map_err(|error| error.to_string())?;
            count += 1;
        }
        Result::Ok((f64::from(count), begun.elapsed()))
    };
    hash_for(warm_up)?;
    let before = CpuTime::of(process::id())?;
    let (count, took) = hash_for(measured)?;
    let cpu = CpuTime::of(process::id())?.since(before);
    writeln!(stdout(), "{} {}", count / took.as_secs_f64(), cpu.as_secs_f64() * 1e6 / count)?;
    Ok(())
}

/// What the server's own hashes cost unless it is told otherwise.
fn cost() -> Result<Params> {
    let manual: toml::Table = include_str!("../../src/config.default.toml").parse()?;
    let number = |name: &str| {
        let value = manual.get("password").and_then(|section| section.get(name)).and_then(toml::Value::as_integer);
        Result::Ok(u32::try_from(value.ok_or("a setting is missing")?)?)
    };
    Params::new(number("memory_kib")?, number("passes")?, 1, Some(32)).map_err(|error| error.to_string().into())
}
