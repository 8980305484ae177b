//! Accounts from a file with one JSON object per line: what any other system can be made to write.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader};

use super::{Manner, PAGE, Row, Run};
use crate::cli::Failure;
use crate::config::Config;
use crate::identity::{Record, Unfit};

/// The longest line, in bytes.
const MOST_LINE: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(in crate::cli) struct JsonImport {
    /// The file, or `-` for standard input. Each line is an object with `phone` or `email` or both, and optionally `id`,
    /// `first_name`, `last_name`, `password_hash`, `roles`, `metadata`, `blocked`, `created_at`, `last_login_at` (as in
    /// `2026-01-31T12:00:00Z`), `locale` and `unproved`.
    file: PathBuf,
    #[command(flatten)]
    manner: Manner,
}

impl JsonImport {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let skip: u64 = match &self.manner.resume_after {
            None => 0,
            Some(line) => line.parse().map_err(|_| "--resume-after must be the number of a line")?,
        };
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", self.file.display());
        if self.file == Path::new("-") {
            read(tokio::io::BufReader::new(tokio::io::stdin()), skip, Run::begin(self.manner, &config).await?).await
        } else {
            let file = File::open(&self.file).await.map_err(unreadable)?;
            read(BufReader::new(file), skip, Run::begin(self.manner, &config).await?).await
        }
    }
}

async fn read(mut lines: impl AsyncBufRead + Unpin, skip: u64, mut run: Run) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        let read = (&mut lines).take(MOST_LINE + 1).read_until(b'\n', &mut line).await;
        if read.map_err(|error| run.broken_off(&error))? == 0 {
            break;
        }
        number += 1;
        if line.last() != Some(&b'\n') && line.len() as u64 > MOST_LINE {
            return Err(format!("line {number} is longer than {MOST_LINE} bytes").into());
        }
        if number > skip && !line.trim_ascii().is_empty() {
            rows.push(row(number, &line));
        }
        if rows.len() >= PAGE as usize {
            run.take(std::mem::take(&mut rows)).await?;
        }
    }
    run.take(rows).await?;
    run.end()
}

fn row(number: u64, line: &[u8]) -> Row {
    let mut place = Map::from_iter([("line".to_owned(), Value::from(number))]);
    // An array would be read as the fields in their order.
    let is_object = line.trim_ascii_start().first() == Some(&b'{');
    let record = serde_json::from_slice::<Record>(if is_object { line } else { b"" });
    // The parser's own words might repeat a value.
    let record = record.map_err(|error| {
        let column = error.column();
        Unfit::new("line", format_args!("is not an account as a JSON object, at character {column}"))
    });
    if let Ok(record) = &record
        && !record.id.is_null()
    {
        place.insert("id".to_owned(), record.id.clone());
    }
    Row { key: number.to_string(), place, record }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_account_is_refused_without_its_content() {
        for line in [
            r#"{"phone": "secret""#,
            r#"{"phone": 123456789}"#,
            r#"{"secret": "x"}"#,
            r#"["secret"]"#,
            r#"{"roles": "secret"}"#,
            r#"{"created_at": "secret"}"#,
            "\u{1}secret",
        ] {
            let row = row(7, line.as_bytes());
            let fault = row.record.unwrap_err().to_string();
            assert!(fault.starts_with("line: ") && !fault.contains("secret") && !fault.contains("1234"), "{fault}");
            assert_eq!(row.place["line"], 7);
        }
    }

    #[test]
    fn a_line_is_an_account() {
        let line = r#"{"id": 3, "phone": "09121234567", "email": null, "roles": ["a"], "created_at": "2026-01-31T12:00:00+03:30"}"#;
        let row = row(1, line.as_bytes());
        let record = row.record.unwrap();
        assert_eq!((record.phone.as_str(), record.roles.len()), ("09121234567", 1));
        assert_eq!(record.created_at.unwrap().to_rfc3339(), "2026-01-31T08:30:00+00:00");
        assert_eq!(row.place["id"], 3);
    }
}
