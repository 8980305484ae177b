//! What becomes of a call when a database grows a thousandfold: the same server on a small PostgreSQL database and on a large
//! one, in turns, with people picked at random from all there are.

mod population;
mod size;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::time::Instant;

use countersign::proto::v1::account_service_client::AccountServiceClient;
use countersign::proto::v1::admin_service_client::AdminServiceClient;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::{
    IntrospectRequest, ListSessionsRequest, LoginRequest, OtpCredential, PurgeExpiredRequest, RefreshRequest,
    RequestOtpRequest,
};
use countersign::root_key::{MacKey, Purpose, RootKey};
use countersign::session::RefreshTokens;
use futures_util::future::try_join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tonic::Request;
use tonic::metadata::MetadataValue;

use self::population::Population;
use crate::Result;
use crate::database::Database;
use crate::figures::{Budget, Figure, Report};
use crate::histogram::Histogram;
use crate::people::{self, Codes};
use crate::rounds::{Plan, median};
use crate::server::Server;

/// What is measured here, and only where it is asked for by name: it takes minutes and gigabytes.
pub(crate) const FIGURES: &[&str] = &[NAME];
pub(crate) const NAME: &str = "scale";

/// How many call at a time: few enough that nobody waits for a connection or a core for long.
const CONCURRENCY: usize = 4;
/// How many calls of a kind one of them makes in a round.
const CALLS: usize = 500;
const SMALL: u64 = 1_000;
const LARGE: u64 = 1_000_000;
const LARGE_QUICK: u64 = 20_000;
/// What the p99 may grow to.
const GROWTH: f64 = 1.5;

/// One of the two installations.
struct Installation {
    server: Server,
    database: Database,
    population: Population,
    tokens: RefreshTokens,
    log: Codes,
    random: RefCell<SmallRng>,
    /// Of sessions that are past their first, by number.
    generations: RefCell<HashMap<u64, i64>>,
    seen: Seen,
}

/// The p99s of each kind of call, in microseconds, round by round.
#[derive(Default)]
struct Seen {
    login: Vec<f64>,
    refresh: Vec<f64>,
    introspect: Vec<f64>,
    list_sessions: Vec<f64>,
}

/// Fills two databases, measures both in turns, and drops them.
pub(crate) async fn measure(core: usize, plan: Plan, quick: bool, report: &mut Report) -> Result<()> {
    let large = if quick { LARGE_QUICK } else { LARGE };
    let mut small = Installation::found(core, "small", SMALL).await?;
    let mut large = Installation::found(core, "large", large).await?;
    let outcome = compare(plan, &mut small, &mut large, report).await;
    small.close().await?;
    large.close().await?;
    outcome
}

async fn compare(plan: Plan, small: &mut Installation, large: &mut Installation, report: &mut Report) -> Result<()> {
    size::report(&large.database.url, &large.population, report).await?;
    for installation in [&mut *small, &mut *large] {
        // Statements are prepared, and pages are read that any installation has in memory.
        installation.round().await?;
        installation.seen = Seen::default();
    }
    let before = size::scans(&large.database.url).await?;
    for _ in 0..plan.rounds {
        small.round().await?;
        large.round().await?;
    }
    for (name, of) in [
        ("scale_login_p99", (|seen| &seen.login) as fn(&Seen) -> &Vec<f64>),
        ("scale_refresh_p99", |seen| &seen.refresh),
        ("scale_introspect_p99", |seen| &seen.introspect),
        ("scale_list_sessions_p99", |seen| &seen.list_sessions),
    ] {
        let (few, many) = (of(&small.seen), of(&large.seen));
        let ratio = median(many.iter().zip(few).map(|(many, few)| many / few).collect());
        let remark = format!(
            "of {} sessions; {:.0} us of {}; {CONCURRENCY} at a time, fsync on",
            large.population.sessions,
            median(few.clone()),
            small.population.sessions
        );
        report.add(
            Figure::new(name, median(many.clone()), "us")
                .ratio(ratio)
                .budget(Budget::AtMost(GROWTH))
                .remark(Some(remark)),
        );
    }
    size::usage(&large.database.url, before, report).await?;
    purge(small, large, report).await
}

/// What deleting one in forty sessions takes, for each session there is, and what it does to those who refresh meanwhile.
async fn purge(small: &Installation, large: &Installation, report: &mut Report) -> Result<()> {
    let (few, _) = small.purge().await?;
    let calm = large.refresh().await?;
    let purged = Instant::now();
    let ((many, deleted), busy) = tokio::try_join!(large.purge(), large.refresh())?;
    report.add(Figure::new("scale_purge", many, "us/session").ratio(many / few).budget(Budget::AtMost(GROWTH)).remark(
        Some(format!("{deleted} deleted in {:.0} s; {few:.2} us of a small one", purged.elapsed().as_secs_f64())),
    ));
    report.add(
        Figure::new("scale_refresh_p99_during_purge", busy.p99(), "us")
            .ratio(busy.p99() / calm.p99())
            .remark(Some(format!("{:.0} us just before", calm.p99()))),
    );
    Ok(())
}

/// What some calls took, and the access tokens that came of them.
struct Outcome {
    latencies: Histogram,
    access_tokens: Vec<String>,
}

impl Outcome {
    fn p99(&self) -> f64 {
        self.latencies.percentile(99).as_secs_f64() * 1e6
    }
}

impl Installation {
    async fn found(core: usize, name: &str, accounts: u64) -> Result<Self> {
        let database = Database::named(name).await?;
        let key = RootKey::generate();
        let root_key = key.to_base64();
        let settings = [("COUNTERSIGN__SECRETS__ROOT_KEY", root_key.expose().as_str())];
        // The server brings the database to its shape.
        let server = Server::on(core, &database.url, &settings).await?;
        let population = Population::of(accounts);
        eprintln!("filling a database with {accounts} accounts and {} sessions", population.sessions);
        let began = Instant::now();
        population.settle(&database.url).await?;
        eprintln!("  done in {:.0} s", began.elapsed().as_secs_f64());
        Ok(Self {
            server,
            database,
            population,
            tokens: RefreshTokens::new(MacKey::new(&key, Purpose::SealRefreshTokens), None),
            log: Codes::default(),
            generations: RefCell::default(),
            random: RefCell::new(SmallRng::seed_from_u64(accounts)),
            seen: Seen::default(),
        })
    }

    async fn close(self) -> Result<()> {
        drop(self.server);
        self.database.drop().await
    }

    async fn round(&mut self) -> Result<()> {
        let login = self.login().await?;
        let refresh = self.refresh().await?;
        let introspect = self.introspect(&refresh.access_tokens).await?;
        let list = self.list_sessions(&refresh.access_tokens).await?;
        self.seen.login.push(login.p99());
        self.seen.refresh.push(refresh.p99());
        self.seen.introspect.push(introspect.p99());
        self.seen.list_sessions.push(list.p99());
        Ok(())
    }

    /// People sign in with codes that were sent to them before.
    async fn login(&mut self) -> Result<Outcome> {
        let mut auth = AuthServiceClient::new(self.server.channel.clone());
        let mut challenges = Vec::new();
        for _ in 0..CONCURRENCY * CALLS / 4 {
            let person = self.random.borrow_mut().random_range(0..self.population.accounts);
            let identifier = Some(people::identifier(usize::try_from(person)?));
            let answer = auth.request_otp(RequestOtpRequest { identifier, ..Default::default() }).await?.into_inner();
            challenges.push(answer.challenge.ok_or("no challenge in the answer")?.challenge_id);
        }
        let mut requests = Vec::with_capacity(challenges.len());
        for challenge_id in challenges {
            let code = self.log.take(&self.server, &challenge_id).await?;
            let credential = Some(Credential::Otp(OtpCredential { challenge_id, code }));
            requests.push(LoginRequest { credential, ..Default::default() });
        }
        timed(requests, |request| {
            let mut auth = auth.clone();
            async move {
                let answer = auth.login(request).await?.into_inner();
                Ok(answer.tokens.ok_or("no tokens in the answer")?.access_token)
            }
        })
        .await
    }

    /// Sessions are refreshed, few of them a second time.
    async fn refresh(&self) -> Result<Outcome> {
        let tokens = TokenServiceClient::new(self.server.channel.clone());
        let mut numbers = HashSet::with_capacity(CONCURRENCY * CALLS);
        while numbers.len() < CONCURRENCY * CALLS {
            let number = self.random.borrow_mut().random_range(0..self.population.sessions);
            if Population::is_alive(number) {
                numbers.insert(number);
            }
        }
        let request = |&number: &u64| {
            let mut generations = self.generations.borrow_mut();
            let generation = generations.entry(number).or_insert(1);
            let refresh_token = self.tokens.seal(self.population.session(number), *generation).expose().clone();
            *generation += 1;
            RefreshRequest { refresh_token, ..Default::default() }
        };
        let requests = numbers.iter().map(request).collect();
        timed(requests, |request| {
            let mut tokens = tokens.clone();
            async move {
                let answer = tokens.refresh(request).await?.into_inner();
                Ok(answer.tokens.ok_or("no tokens in the answer")?.access_token)
            }
        })
        .await
    }

    async fn introspect(&self, access_tokens: &[String]) -> Result<Outcome> {
        let tokens = TokenServiceClient::new(self.server.channel.clone());
        let bearer: MetadataValue<_> = format!("Bearer {}", self.server.api_key()?).parse()?;
        timed(access_tokens.to_vec(), |token| {
            let (mut tokens, bearer) = (tokens.clone(), bearer.clone());
            async move {
                let mut request = Request::new(IntrospectRequest { token, ..Default::default() });
                request.metadata_mut().insert("authorization", bearer);
                if !tokens.introspect(request).await?.into_inner().active {
                    return Err("a token that has just been issued does not count".into());
                }
                Ok(String::new())
            }
        })
        .await
    }

    /// People look where they are signed in.
    async fn list_sessions(&self, access_tokens: &[String]) -> Result<Outcome> {
        let accounts = AccountServiceClient::new(self.server.channel.clone());
        timed(access_tokens.to_vec(), |token| {
            let mut accounts = accounts.clone();
            async move {
                let mut request = Request::new(ListSessionsRequest::default());
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
                if accounts.list_sessions(request).await?.into_inner().sessions.len() < 9 {
                    return Err("sessions are missing from a list".into());
                }
                Ok(String::new())
            }
        })
        .await
    }

    /// Microseconds for each session in the database, and how many were deleted.
    async fn purge(&self) -> Result<(f64, i64)> {
        let mut admin = AdminServiceClient::new(self.server.channel.clone());
        let mut request = Request::new(PurgeExpiredRequest::default());
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.server.api_key()?).parse()?);
        let began = Instant::now();
        let deleted = admin.purge_expired(request).await?.into_inner().sessions;
        if deleted == 0 {
            return Err("nothing was there to be purged".into());
        }
        let sessions = u32::try_from(self.population.sessions)?;
        Ok((began.elapsed().as_secs_f64() * 1e6 / f64::from(sessions), deleted))
    }
}

/// Makes the calls, some at a time, each as soon as there is room, and times each.
async fn timed<R, F>(requests: Vec<R>, call: impl Fn(R) -> F) -> Result<Outcome>
where
    F: Future<Output = Result<String>>,
{
    let queue = &RefCell::new(requests);
    let call = &call;
    let outcomes = try_join_all((0..CONCURRENCY).map(|_| async move {
        let (mut latencies, mut access_tokens) = (Histogram::new(), Vec::new());
        loop {
            let Some(request) = queue.borrow_mut().pop() else { break };
            let began = Instant::now();
            let token = call(request).await?;
            latencies.record(began.elapsed());
            access_tokens.push(token);
        }
        Result::Ok(Outcome { latencies, access_tokens })
    }))
    .await?;
    let mut all = Outcome { latencies: Histogram::new(), access_tokens: Vec::new() };
    for outcome in outcomes {
        all.latencies.merge(&outcome.latencies);
        all.access_tokens.extend(outcome.access_tokens);
    }
    Ok(all)
}
