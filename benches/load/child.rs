//! The processes under test: started on a core of their own, measured through `/proc`, ended with their handle.

use std::ffi::OsStr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use crate::Result;

/// A process that ends with this handle.
pub(crate) struct Process(Child);

/// A command that runs a program on one core, and not longer than this process runs. Both wrappers are part of util-linux
/// and become the program, so that its process identifier is the child's.
pub(crate) fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &core.to_string()]).arg(program);
    command
}

/// A command that runs a program under test on one core. Where `COUNTERSIGN_BENCH_UNDER` has words, those of a command that
/// takes a program and becomes it, such as valgrind, it is run by that.
pub(crate) fn under_test(core: usize, program: impl AsRef<OsStr>) -> Command {
    let words = env::var(UNDER).unwrap_or_default();
    let mut words = words.split_ascii_whitespace();
    let Some(first) = words.next() else { return pinned(core, program) };
    let mut command = pinned(core, first);
    command.args(words).arg(program);
    command
}

/// What programs under test are run by.
const UNDER: &str = "COUNTERSIGN_BENCH_UNDER";

impl Process {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Self(child.map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it prints, if its command has a pipe for that. There is only one.
    pub(crate) fn stdout(&mut self) -> Result<ChildStdout> {
        self.0.stdout.take().ok_or_else(|| "the output goes elsewhere, or is read already".into())
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_some())
    }

    /// The memory it has, in MiB.
    pub(crate) fn memory(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        Ok(f64::from(kib.ok_or("/proc/PID/status is not as expected")?.parse::<u32>()?) / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way there is nothing left to do about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The CPU time that a process has used, in user and in kernel mode.
#[derive(Clone, Copy)]
pub(crate) struct CpuTime(Duration);

/// What `/proc/PID/stat` counts in: `USER_HZ`, 100 on every Linux, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

impl CpuTime {
    /// That of a process, so far.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
            .map_err(|error| format!("process {pid} has ended: {error}"))?;
        // The second field is the program's name in parentheses, and may hold spaces. After it, utime and stime are the
        // twelfth and the thirteenth field.
        let (_, fields) = stat.rsplit_once(')').ok_or("/proc/PID/stat is not as expected")?;
        let ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u32>);
        Ok(Self(TICK * ticks.sum::<std::result::Result<u32, _>>()?))
    }

    /// What was used between two moments.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
