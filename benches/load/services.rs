//! The database and the cache that some figures need.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Result;

/// Where a PostgreSQL server is to be found, whose user may create databases.
pub(crate) const POSTGRES: &str = "COUNTERSIGN_TEST_POSTGRES_URL";
/// Where a Redis is to be found.
pub(crate) const REDIS: &str = "COUNTERSIGN_TEST_REDIS_URL";

/// The URL of one of them.
pub(crate) fn url(service: &str) -> Result<String> {
    env::var(service).map_err(|_| format!("{service} is not set").into())
}

/// Sees to it that they are there: where one is not named, the program starts anew beside one of its own, and this does not
/// come back. It must come first, while this process may still use every core: the services inherit what it may use.
pub(crate) fn ensure(services: &[&str]) -> Result<()> {
    let Some(missing) = services.iter().find(|service| env::var_os(service).is_none()) else { return Ok(()) };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/with-services");
    let error = Command::new(&script).arg("--durable").arg(env::current_exe()?).args(env::args_os().skip(1)).exec();
    Err(format!("{missing} is not set, and {} cannot be started: {error}", script.display()).into())
}
