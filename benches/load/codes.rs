//! Asking for codes and signing in with them on PostgreSQL and Redis, beside the bare commands and statements of both.
//!
//! People have accounts, as nearly all have who sign in. Each request has a name of its own (`request_id`), as is
//! recommended. Codes leave by way of the log, which costs little, and are read there when the window is over.

use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::login_request::Credential;
use countersign::proto::v1::{LoginRequest, OtpCredential, RequestOtpRequest};
use countersign::random::Random;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::bare::{Bare, PATIENCE};
use crate::database::Database;
use crate::figures::{Figure, Report};
use crate::people::{self, Codes};
use crate::rounds::{Plan, median, repeat, repeat_while};
use crate::server::Server;
use crate::{Result, services};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["request_otp", "bare_code_request", "otp_login", "bare_code_login"];

/// How many are at it at a time: as many as there are connections to the database.
const CONCURRENCY: usize = 16;
/// How many people each of them stands for, who come one after the other.
const PEOPLE: usize = 16;

/// One who asks for codes on behalf of some people, and then uses them. `C` is what is known of a code.
struct Client<C> {
    number: usize,
    asked: usize,
    codes: Vec<C>,
}

/// A challenge and, once it has been read, its code.
type Sent = (String, String);

/// In calls per second, round by round.
#[derive(Default)]
struct Rates {
    requests: Vec<f64>,
    bare_requests: Vec<f64>,
    logins: Vec<f64>,
    bare_logins: Vec<f64>,
}

/// Compares both on a database of their own.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let database = Database::create().await?;
    let outcome = compare(core, plan, &database.url).await;
    database.drop().await?;
    let Rates { requests, bare_requests, logins, bare_logins } = outcome?;
    let mut add = |name, bare_name, rates: Vec<f64>, bare: Vec<f64>| {
        let share = median(rates.iter().zip(&bare).map(|(rate, bare)| rate / bare).collect());
        let remark = Some(format!("{CONCURRENCY} at a time, fsync on"));
        report.add(Figure::new(name, median(rates), "calls/s").ratio(share).remark(remark));
        report.add(Figure::new(bare_name, median(bare), "times/s"));
    };
    add("request_otp", "bare_code_request", requests, bare_requests);
    add("otp_login", "bare_code_login", logins, bare_logins);
    Ok(())
}

async fn compare(core: usize, plan: Plan, database: &str) -> Result<Rates> {
    let redis = services::url(services::REDIS)?;
    // Keys are left behind; they expire by themselves.
    let prefix = format!("countersign_bench_{}", std::process::id());
    let patience = format!("{}ms", PATIENCE.as_millis());
    let settings = [
        ("COUNTERSIGN__CACHE__URL", redis.as_str()),
        ("COUNTERSIGN__CACHE__KEY_PREFIX", &prefix),
        ("COUNTERSIGN__CACHE__TIMEOUT", &patience),
    ];
    let server = Server::on(core, database, &settings).await?;
    people::sign_in(&server, CONCURRENCY * PEOPLE).await?;
    let auth = AuthServiceClient::new(server.channel.clone());
    let bare = Bare::connect(&redis, &format!("{prefix}_bare"), database).await?;

    let (mut rates, mut log) = (Rates::default(), Codes::default());
    let (mut clients, mut bares) = (clients::<Sent>(), clients::<Uuid>());
    for _ in 0..plan.rounds {
        let rate;
        (rate, bares) = repeat(bares, plan.window, |client| bare_request(&bare, client)).await?;
        rates.bare_requests.push(rate);
        let rate;
        (rate, clients) = repeat(clients, plan.window, |client| request(auth.clone(), client)).await?;
        rates.requests.push(rate);
        for (challenge, code) in clients.iter_mut().flat_map(|client| &mut client.codes) {
            *code = log.take(&server, challenge).await?;
        }
        let rate;
        (rate, bares) = repeat_while(bares, plan.window, Client::has_code, |client| bare_login(&bare, client)).await?;
        rates.bare_logins.push(rate);
        let rate;
        (rate, clients) =
            repeat_while(clients, plan.window, Client::has_code, |client| login(auth.clone(), client)).await?;
        rates.logins.push(rate);
        // What is left would be too old in the end.
        clients.iter_mut().for_each(Client::discard);
        bares.iter_mut().for_each(Client::discard);
    }
    bare.close().await;
    Ok(rates)
}

fn clients<C>() -> Vec<Client<C>> {
    (0..CONCURRENCY).map(|number| Client { number, asked: 0, codes: Vec::new() }).collect()
}

impl<C> Client<C> {
    /// Whose turn it is. No two clients have a person in common, so that none waits for another's lock.
    fn person(&mut self) -> usize {
        self.asked += 1;
        self.number * PEOPLE + self.asked % PEOPLE
    }

    /// Whether there is a code that is still to be used. Asking is the lesser work; on a machine that is busy with other things
    /// there may be too few all the same.
    fn has_code(&self) -> bool {
        !self.codes.is_empty()
    }

    fn code(&mut self) -> Result<C> {
        self.codes.pop().ok_or_else(|| "there is no code left".into())
    }

    /// Forgets the codes that were not used.
    fn discard(&mut self) {
        self.codes.clear();
    }
}

async fn request(mut auth: AuthServiceClient<Channel>, mut client: Client<Sent>) -> Result<Client<Sent>> {
    let identifier = Some(people::identifier(client.person()));
    let answer = auth.request_otp(RequestOtpRequest { identifier, request_id: name(), ..Default::default() }).await?;
    let challenge = answer.into_inner().challenge.ok_or("no challenge in the answer")?;
    client.codes.push((challenge.challenge_id, String::new()));
    Ok(client)
}

async fn login(mut auth: AuthServiceClient<Channel>, mut client: Client<Sent>) -> Result<Client<Sent>> {
    let (challenge_id, code) = client.code()?;
    let credential = Some(Credential::Otp(OtpCredential { challenge_id, code }));
    let answer = auth.login(LoginRequest { credential, request_id: name(), ..Default::default() }).await?;
    answer.into_inner().tokens.ok_or("no tokens in the answer")?;
    Ok(client)
}

async fn bare_request(bare: &Bare, mut client: Client<Uuid>) -> Result<Client<Uuid>> {
    let challenge = bare.request(client.person()).await?;
    client.codes.push(challenge);
    Ok(client)
}

async fn bare_login(bare: &Bare, mut client: Client<Uuid>) -> Result<Client<Uuid>> {
    let challenge = client.code()?;
    bare.login(client.person(), challenge).await?;
    Ok(client)
}

/// A name for an intent.
fn name() -> String {
    Random.id(countersign::clock::Clock::System.now()).to_string()
}
