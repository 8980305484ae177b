//! The command line. Every failure is one sentence that says what is wrong and what to do, and an exit code that is not zero.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its terminal")]

mod account;
mod delivery;
mod demo;
mod health;
mod import;
mod job;
mod operate;
mod pinned;
mod serve;
mod verify;
mod webhook;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// What a command ends with when it fails.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Countersign: an authentication service that other services talk to over gRPC.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, about)]
struct Arguments {
    /// A configuration file, over the defaults and under the environment (`COUNTERSIGN__SECTION__NAME`).
    #[arg(long, global = true, env = "COUNTERSIGN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve (the default).
    Serve,
    /// Walk through the whole life of a session, against a private server or a running one.
    Demo(demo::Demo),
    /// Bring the database to the shape that this release needs.
    Migrate,
    /// The services and gateways that may call.
    #[command(subcommand)]
    Caller(operate::CallerCommand),
    /// People's accounts.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Bring accounts over from elsewhere, with their password hashes. To repeat it does no harm.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// The endpoints that events are posted to.
    #[command(subcommand)]
    Webhook(webhook::WebhookCommand),
    /// Events that have not arrived somewhere.
    #[command(subcommand)]
    Delivery(delivery::DeliveryCommand),
    /// The keys that sign access tokens.
    #[command(subcommand)]
    Keys(operate::KeysCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the descriptors of all services, which gateways need to offer them as JSON. It goes into a file: it is no text.
    Descriptor,
    /// Tokens.
    #[command(subcommand)]
    Token(verify::TokenCommand),
    /// Ask a running server whether it serves; exit with 0 if it does.
    Healthcheck(health::Healthcheck),
    /// Delete what has expired: the same as `job run purge`.
    Purge,
    /// What is done again and again.
    #[command(subcommand)]
    Job(job::JobCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every setting with its default and what it means.
    Default,
    /// Report everything that is wrong with the configuration.
    Check,
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("countersign: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let configuration = || load(arguments.config.as_deref());
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => block_on(serve::serve(configuration()?))?,
        Command::Demo(demo) => block_on(demo.run())?,
        Command::Migrate => block_on(operate::migrate(configuration()?))?,
        Command::Caller(command) => block_on(command.run(configuration()?))?,
        Command::Delivery(command) => block_on(command.run(configuration()?))?,
        Command::Webhook(command) => block_on(command.run(configuration()?))?,
        Command::Account(command) => block_on(command.run(configuration()?))?,
        Command::Keys(command) => block_on(command.run(configuration()?))?,
        Command::Import(command) => block_on(command.run(configuration()?))?,
        Command::Purge => block_on(job::purge(configuration()?))?,
        Command::Job(command) => block_on(command.run(configuration()?))?,
        Command::Healthcheck(check) => {
            let (address, tls) = check.server(arguments.config.as_deref())?;
            block_on(check.run(address, tls))?;
        }
        Command::Descriptor => std::io::stdout().lock().write_all(crate::proto::DESCRIPTORS)?,
        Command::Token(command) => return command.run(),
        Command::Config(ConfigCommand::Default) => print!("{}", Config::manual()),
        Command::Config(ConfigCommand::Check) => {
            configuration()?;
            println!("the configuration is sound");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn load(path: Option<&std::path::Path>) -> Result<Config, Failure> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(path, environment).map_err(|error| format!("the configuration is not sound:\n{error}").into())
}

/// The event loop of everything but calls: jobs, HTTP, messages, connections to the database and the cache.
fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(work)
}
