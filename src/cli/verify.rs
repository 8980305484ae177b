//! `countersign token verify`: checks signatures with a key set from a file, and nothing else. It needs no server.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Subcommand;

use super::Failure;
use crate::token::{KeySet, verify_compact};

/// How a set that is refused ends the command.
const BAD_KEYS: u8 = 2;

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Read tokens from standard input, one per line, and print `ok PAYLOAD` (base64url) or `reject REASON` for each.
    Verify {
        /// A JWK set (RFC 7517).
        #[arg(long, value_name = "FILE")]
        jwks: PathBuf,
    },
}

impl TokenCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Self::Verify { jwks } = self;
        let keys = match std::fs::read_to_string(&jwks) {
            Ok(text) => KeySet::from_jwks(&text).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let keys = match keys {
            Ok(keys) => keys,
            Err(cause) => {
                eprintln!("countersign: the key set {} is refused: {cause}", jwks.display());
                return Ok(ExitCode::from(BAD_KEYS));
            }
        };
        let mut output = std::io::stdout().lock();
        for line in std::io::stdin().lock().split(b'\n') {
            let mut line = line?;
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            match std::str::from_utf8(&line).map(|token| verify_compact(token, &keys)) {
                Ok(Ok(verified)) => writeln!(output, "ok {}", URL_SAFE_NO_PAD.encode(verified.payload))?,
                Ok(Err(rejection)) => writeln!(output, "reject {}", rejection.as_str())?,
                Err(_) => writeln!(output, "reject not_compact")?,
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
