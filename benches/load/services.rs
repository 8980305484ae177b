//! The database that some figures need.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Result;

/// Where a PostgreSQL server is to be found, whose user may create databases.
const POSTGRES: &str = "COUNTERSIGN_TEST_POSTGRES_URL";

/// The URL of the server.
pub(crate) fn postgres() -> Result<String> {
    env::var(POSTGRES).map_err(|_| format!("{POSTGRES} is not set").into())
}

/// Sees to it that there is a server: where none is named, the program starts anew beside one of its own, and this does not
/// come back. It must come first, while this process may still use every core: the server inherits what it may use.
pub(crate) fn ensure() -> Result<()> {
    if env::var_os(POSTGRES).is_some() {
        return Ok(());
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/with-services");
    let error = Command::new(&script).arg("--durable").arg(env::current_exe()?).args(env::args_os().skip(1)).exec();
    Err(format!("{POSTGRES} is not set, and {} cannot be started: {error}", script.display()).into())
}
