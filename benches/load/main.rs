//! The benchmark: how much of what this machine can do the server makes of it.
//!
//! ```text
//! cargo bench --bench load                        all figures
//! cargo bench --bench load -- --quick             the same in a fraction of the time, less exact
//! cargo bench --bench load -- introspect echo     some of them
//! cargo bench --bench load -- --check             fails if a budget is missed
//! scripts/scale                                   the same calls on a small database and on a very large one
//! scripts/profile                                 what an introspection is spent on, by function
//! ```
//!
//! Figures are compared with a yardstick that is measured in the same run, by the same client, in turns: an absolute
//! number says more about the machine than about the server. The client has one core, and the process under test another.
//!
//! `refresh_postgres` needs PostgreSQL, `request_otp`, `otp_login` and `revocation_propagation` Redis as well: the servers that
//! `COUNTERSIGN_TEST_POSTGRES_URL` and `COUNTERSIGN_TEST_REDIS_URL` name, or else such as `scripts/with-services` starts.

mod bare;
mod check;
mod child;
mod client;
mod codes;
mod connection;
mod cores;
mod database;
mod echo;
mod figures;
mod footprint;
mod frame;
mod hashing;
mod histogram;
mod http;
mod introspect;
mod local_verify;
mod options;
mod passwords;
mod people;
mod profile;
mod propagation;
mod refresh;
mod request;
mod revocations;
mod rounds;
mod scale;
mod server;
mod services;
mod unary;
mod watch;

use std::path::Path;
use std::process::ExitCode;

use figures::Report;
use options::Options;
use rounds::Plan;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong is told to a person, who can do nothing but read it.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == echo::ARGUMENT).is_some() {
        echo::serve(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.next_if(|argument| argument == http::ARGUMENT).is_some() {
        http::serve(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.next_if(|argument| argument == hashing::ARGUMENT).is_some() {
        hashing::serve(arguments)?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(options) = Options::parse(arguments)? else {
        eprintln!("load: to be run by `cargo bench`; there is nothing to test here");
        return Ok(ExitCode::SUCCESS);
    };
    if options.profile {
        let core = cores::split()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(profile::print(core))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut needed = Vec::new();
    if options.wants(refresh::FIGURES) {
        needed.push(services::POSTGRES);
    }
    if options.wants_scale() {
        needed.push(services::POSTGRES);
    }
    if options.wants(codes::FIGURES) || options.wants(propagation::FIGURES) {
        needed.extend([services::POSTGRES, services::REDIS]);
    }
    services::ensure(&needed)?;
    let core = cores::split()?;
    let plan = Plan::new(options.quick);
    let mut report = Report::new();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        if options.wants(footprint::FIGURES) {
            footprint::measure(core, &mut report).await?;
        }
        if options.wants(introspect::FIGURES) {
            // The echoes stand beside it.
            introspect::measure(core, plan, &mut report).await?;
        } else if options.wants(unary::FIGURES) {
            unary::measure(core, plan, &mut report).await?;
        }
        if options.wants(check::FIGURES) {
            check::measure(core, plan, &mut report).await?;
        }
        if options.wants(http::FIGURES) {
            http::measure(core, plan, &mut report).await?;
        }
        if options.wants(revocations::FIGURES) {
            revocations::measure(core, plan, &mut report).await?;
        }
        if options.wants(watch::FIGURES) {
            watch::measure(core, plan, &mut report).await?;
        }
        if options.wants(local_verify::FIGURES) {
            local_verify::measure(core, plan, &mut report).await?;
        }
        if options.wants(passwords::FIGURES) {
            passwords::measure(core, plan, &mut report).await?;
        }
        if options.wants(refresh::FIGURES) {
            refresh::measure(core, plan, &mut report).await?;
        }
        if options.wants(codes::FIGURES) {
            codes::measure(core, plan, &mut report).await?;
        }
        if options.wants(propagation::FIGURES) {
            propagation::measure(core, options.quick, &mut report).await?;
        }
        if options.wants_scale() {
            Box::pin(scale::measure(core, plan, options.quick, &mut report)).await?;
        }
        Result::Ok(())
    })?;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    report.save(&folder.join("load.json"))?;

    let missed = report.missed();
    if !missed.is_empty() {
        eprintln!("load: over budget: {}", missed.join(", "));
    }
    Ok(if options.check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
