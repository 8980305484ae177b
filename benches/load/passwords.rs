//! Signing in with a password beside bare hashes of the same cost, and what becomes of introspection while many do.
//!
//! The server is the embedded one. Its worker, its SQL with every flush to disk, its signatures and its one hashing thread
//! have a single core between them, where the bare hashes have one to themselves: whatever a login costs beyond its hash
//! shows, and nothing but the server's own work does.

use std::time::Duration;

use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::{LoginRequest, LoginResponse, PasswordCredential};
use prost::Message;

use crate::client::{Measurement, Target, run};
use crate::figures::{Budget, Figure, Report};
use crate::hashing::Hashes;
use crate::introspect::Questions;
use crate::request::{Load, framed};
use crate::rounds::{Plan, Series, median};
use crate::server::Server;
use crate::unary::{CPU, P99, RATE};
use crate::{Result, hashing, people};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["password_login", "bare_argon2", "introspect_during_login_storm"];

const PEOPLE: usize = 64;
/// So many sign in at a time. One is being hashed, a few are on their way, all others wait in the queue.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 8;
/// Introspections begin a thousand times in a second: a few percent of what a core can do, so that what is measured is how
/// soon the server gets to them.
const EVERY: Duration = Duration::from_millis(1);

/// Lets people register, and then sign in over and over.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let plan = plan.longer();
    let server = Server::embedded(core).await?;
    let people = people::register(&server, PEOPLE).await?;
    let logins = server.target(logins(server.api_key()?));
    let questions = Questions::about(&server, people).await?;
    let unary = Load { connections: 1, every: Some(EVERY), ..questions.unary() };
    sign_in(core, plan, &logins, report).await?;
    introspect(plan, &logins, &server.target(unary), report).await
}

/// How many sign in, in turns with bare hashes.
async fn sign_in(core: usize, plan: Plan, logins: &Target, report: &mut Report) -> Result<()> {
    let (mut seen, mut hashes) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        hashes.push(hashing::run(core, plan.window)?);
        seen.push(run(logins, plan.window).await?);
    }
    let by_cpu = |(login, hashes): (&Measurement, &Hashes)| hashes.cpu / login.cpu;
    let by_rate = |(login, hashes): (&Measurement, &Hashes)| login.rate / hashes.rate;
    let rounds = || seen.iter().zip(&hashes);
    // Where a neighbour had the core while there were only bare hashes, the rates would flatter the server.
    let ratio = median(rounds().map(|round| by_rate(round).min(by_cpu(round))).collect());
    let (by_cpu, by_rate) = (median(rounds().map(by_cpu).collect()), median(rounds().map(by_rate).collect()));
    let seen = Series::of(seen);
    report.add(
        Figure::new("password_login", seen.median(RATE), "logins/s").ratio(ratio).budget(Budget::AtLeast(0.9)).remark(
            Some(format!(
                "{:.0} us of CPU each, {:.0}% of the core; the ratio is {by_rate:.2} by rate, {by_cpu:.2} by CPU time",
                seen.median(CPU),
                seen.median(|seen| seen.server_share) * 100.0,
            )),
        ),
    );
    let rate = median(hashes.iter().map(|hashes| hashes.rate).collect());
    let cpu = median(hashes.iter().map(|hashes| hashes.cpu).collect());
    let share = median(hashes.iter().map(|hashes| hashes.rate * hashes.cpu / 1e6).collect());
    report.add(
        Figure::new("bare_argon2", rate, "hashes/s")
            .remark(Some(format!("{cpu:.0} us of CPU each, {:.0}% of the core", share * 100.0))),
    );
    Ok(())
}

/// How long introspections take, at rest and while all that hashing goes on.
async fn introspect(plan: Plan, logins: &Target, questions: &Target, report: &mut Report) -> Result<()> {
    let (mut calm, mut stormy, mut storm) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        calm.push(run(questions, plan.window).await?);
        // Both begin and end together, so that the queue is never empty while introspections are measured.
        let (questions, logins) = tokio::try_join!(run(questions, plan.window), run(logins, plan.window))?;
        stormy.push(questions);
        storm.push(logins);
    }
    let [calm, stormy, storm] = [calm, stormy, storm].map(Series::of);
    report.add(
        Figure::new("introspect_during_login_storm", stormy.median(P99), "us")
            .ratio(stormy.ratio(&calm, P99))
            .budget(Budget::AtMost(3.0))
            .remark(Some(format!(
                "p99 at {:.0} calls/s; at rest {:.0} us; {}, at rest {}; {:.0} logins/s meanwhile",
                stormy.median(RATE),
                calm.median(P99),
                stormy.p50(),
                calm.p50(),
                storm.median(RATE),
            ))),
    );
    Ok(())
}

/// People with their passwords, one after the other.
fn logins(bearer: String) -> Load {
    let login = |person| {
        let password =
            PasswordCredential { identifier: Some(people::identifier(person)), password: people::PASSWORD.to_owned() };
        framed(&LoginRequest { credential: Some(Credential::Password(password)), ..Default::default() })
    };
    Load {
        path: "/countersign.v1.AuthService/Login",
        bearer,
        bodies: (0..PEOPLE).map(login).collect(),
        at_least: 1,
        accept: |message| LoginResponse::decode(message).is_ok_and(|answer| answer.tokens.is_some()),
        connections: CONNECTIONS,
        streams: STREAMS,
        every: None,
    }
}
