//! `countersign import`: accounts from elsewhere, straight into the database. Owns what all sources have in common: counting,
//! the report, and how a run ends.

mod django;
mod json;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::Failure;
use super::operate::{by_operator, open};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::{Imports, Record, Unfit};
use crate::model::{AccountId, Cause};
use crate::store::{Imported, Owners};

/// How many rows are read and written at a time.
const PAGE: u32 = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum ImportCommand {
    /// Read the users of a Django project from its database, which is not changed.
    Django(Box<django::DjangoImport>),
    /// Read a file with one JSON object per line.
    Json(json::JsonImport),
}

/// What can be said of every import.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Manner {
    /// Only tell what would happen.
    #[arg(long)]
    dry_run: bool,
    /// Write a JSON line here for each row that was refused, or that another row of the same run made superfluous.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Begin behind this row: a primary key, or the number of a line. Progress on standard error names them.
    #[arg(long, value_name = "ID")]
    resume_after: Option<String>,
    /// Succeed even where rows were refused.
    #[arg(long)]
    allow_refused: bool,
    /// Phone numbers and mail addresses were never proved. They then serve to sign in with a password only.
    #[arg(long)]
    unproved: bool,
    /// Take an account whose password hash is of no use without it, rather than refuse it.
    #[arg(long)]
    drop_unfit_hashes: bool,
}

impl ImportCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        match self {
            Self::Django(import) => import.run(config).await,
            Self::Json(import) => import.run(config).await,
        }
    }
}

/// One row of a source.
struct Row {
    /// What to resume after.
    key: String,
    /// How the report names it.
    place: Map<String, Value>,
    record: Result<Record, Unfit>,
}

/// One run.
struct Run {
    manner: Manner,
    imports: Imports,
    cause: Cause,
    clock: Clock,
    /// Whom a dry run has seen.
    owners: Owners,
    report: Option<BufWriter<File>>,
    /// Which row each new account came from.
    origins: HashMap<AccountId, String>,
    last: Option<String>,
    seen: u64,
    created: u64,
    known: u64,
    doubled: u64,
    refused: u64,
}

impl Run {
    async fn begin(manner: Manner, config: &Config) -> Result<Self, Failure> {
        let report = match &manner.report {
            None => None,
            Some(path) => {
                let file = File::create(path)
                    .map_err(|error| format!("cannot write the report {}: {error}", path.display()))?;
                Some(BufWriter::new(file))
            }
        };
        let (store, clock) = open(config).await?;
        let imports = Imports::new(store, config.accounts.default_region);
        Ok(Self {
            last: manner.resume_after.clone(),
            manner,
            imports,
            cause: by_operator(&clock),
            clock,
            owners: Owners::default(),
            report,
            origins: HashMap::new(),
            seen: 0,
            created: 0,
            known: 0,
            doubled: 0,
            refused: 0,
        })
    }

    /// Takes some rows.
    async fn take(&mut self, rows: Vec<Row>) -> Result<(), Failure> {
        let Some(last) = rows.last().map(|row| row.key.clone()) else { return Ok(()) };
        self.cause.at = self.clock.now();
        let mut places = Vec::with_capacity(rows.len());
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            places.push((row.key, row.place));
            records.push(row.record.map(|record| self.adapt(record)));
        }
        let outcomes = if self.manner.dry_run {
            self.imports.rehearse(records, &mut self.owners, self.cause.at).await
        } else {
            self.imports.take(records, &self.cause).await
        };
        let outcomes = outcomes.map_err(|error| self.broken_off(&error))?;
        for ((key, place), outcome) in places.into_iter().zip(outcomes) {
            self.note(key, place, outcome)?;
        }
        eprintln!("{} rows up to {last}: {}", self.seen, self.figures());
        self.last = Some(last);
        Ok(())
    }

    fn adapt(&self, mut record: Record) -> Record {
        record.unproved |= self.manner.unproved;
        if self.manner.drop_unfit_hashes {
            record.drop_unfit_hash();
        }
        record
    }

    fn note(
        &mut self,
        key: String,
        place: Map<String, Value>,
        outcome: Result<Imported, Unfit>,
    ) -> Result<(), Failure> {
        self.seen += 1;
        match outcome {
            Ok(Imported::Created(id)) => {
                self.created += 1;
                self.origins.insert(id, key);
            }
            Ok(Imported::Known(id)) => {
                self.known += 1;
                if let Some(first) = self.origins.get(&id).cloned() {
                    self.doubled += 1;
                    self.tell(place, &[("outcome", "known"), ("same_as", &first)])?;
                }
            }
            Err(unfit) => {
                self.refused += 1;
                self.tell(place, &[("outcome", "refused"), ("fault", &unfit.to_string())])?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, mut place: Map<String, Value>, said: &[(&str, &str)]) -> Result<(), Failure> {
        let Some(report) = &mut self.report else { return Ok(()) };
        place.extend(said.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))));
        writeln!(report, "{}", Value::Object(place)).map_err(|error| format!("cannot write the report: {error}").into())
    }

    fn figures(&self) -> String {
        let verb = if self.manner.dry_run { "would be created" } else { "created" };
        let doubled = match self.doubled {
            0 => String::new(),
            doubled => format!(" ({doubled} of them like a row before)"),
        };
        format!("{} {verb}, {} known{doubled}, {} refused", self.created, self.known, self.refused)
    }

    /// A failure of either database.
    fn broken_off(&self, error: &dyn std::error::Error) -> Failure {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        let resume = match &self.last {
            Some(last) => format!("; go on with --resume-after {last}, or from the start, which does no harm"),
            None => String::new(),
        };
        format!("{error}{cause}{resume}").into()
    }

    /// Tells how it went.
    fn end(mut self) -> Result<(), Failure> {
        if let Some(report) = &mut self.report {
            report.flush().map_err(|error| format!("cannot write the report: {error}"))?;
        }
        println!("{}", self.figures());
        if self.refused == 0 || self.manner.allow_refused {
            return Ok(());
        }
        let advice = if self.manner.report.is_some() { "the report says why" } else { "--report FILE says why" };
        Err(format!("{} rows were refused; {advice}, and --allow-refused accepts it", self.refused).into())
    }
}
