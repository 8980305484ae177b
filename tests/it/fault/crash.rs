//! The service is killed in the middle of refreshes and sign-ins (R5, and F10 where it stands on a file of its own): whoever
//! asks again is where they were or one step further, and nobody is in two places.

use std::time::Duration;

use countersign::model::SessionId;
use countersign::proto::v1;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::random::Random;
use futures_util::future::join_all;
use sqlx::{Connection, SqliteConnection};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::harness::database::number;
use crate::harness::{Backend, Program, TestApp, figure, has_services, login, phone_number, request_id};
use crate::session::{newcomer, session_of};

/// Who is signed in from the beginning, and how many may come.
const SESSIONS: usize = 12;
const MOST: usize = 60;
/// For how long a program runs at most before it is killed, in milliseconds.
const RUNS: u32 = 400;

const SETTINGS: [(&str, &str); 4] = [
    ("limits.codes_per_network.count", "1000000"),
    ("limits.codes_per_prefix.count", "1000000"),
    ("limits.unused_codes.network", "1000000"),
    ("limits.unused_codes.prefix", "1000000"),
];

/// A session as its owner sees it.
struct Owner {
    session: Option<SessionId>,
    token: String,
    /// Whether they name what they want. Others have the grace alone.
    names: bool,
    /// The name of what got no answer.
    unanswered: Option<String>,
    steps: i64,
}

/// What came of it.
#[derive(Default)]
struct Outcome {
    lost: usize,
    forked: usize,
    signed_in: usize,
    asked_again: usize,
}

impl Owner {
    fn new(session: Option<SessionId>, token: String, names: bool) -> Self {
        Self { session, token, names, unanswered: None, steps: 0 }
    }

    /// Goes on until the program is gone. What had no answer is asked again first, twice: both must tell the same.
    async fn go_on(&mut self, mut tokens: TokenServiceClient<Channel>) -> Outcome {
        let mut outcome = Outcome::default();
        loop {
            let again = self.unanswered.take();
            let intent = again.clone().unwrap_or_else(|| if self.names { request_id() } else { String::new() });
            match refresh(&mut tokens, &self.token, &intent).await {
                Ok(next) => {
                    if again.is_some() {
                        outcome.asked_again += 1;
                        match refresh(&mut tokens, &self.token, &intent).await {
                            Ok(same) => outcome.forked += usize::from(same != next),
                            Err(status) if is_gone(&status) => {}
                            Err(_) => outcome.lost += 1,
                        }
                    }
                    self.token = next;
                    self.steps += 1;
                }
                Err(status) if is_gone(&status) => {
                    self.unanswered = Some(intent);
                    return outcome;
                }
                Err(status) => {
                    eprintln!("a refresh was answered with {status:?}");
                    outcome.lost += 1;
                    return outcome;
                }
            }
        }
    }
}

async fn refresh(tokens: &mut TokenServiceClient<Channel>, token: &str, intent: &str) -> Result<String, Status> {
    let request =
        v1::RefreshRequest { refresh_token: token.to_owned(), request_id: intent.to_owned(), ..Default::default() };
    Ok(tokens.refresh(request).await?.into_inner().tokens.unwrap().refresh_token)
}

/// Whether nobody has answered: the client made the status by itself, out of what became of the connection.
fn is_gone(status: &Status) -> bool {
    std::error::Error::source(status).is_some() || status.code() == Code::Unavailable
}

/// Signs people in one after the other until the program is gone. Who got an answer has a session.
async fn sign_in(program: &Program, channel: Channel, room: usize) -> Vec<Owner> {
    let (mut auth, mut new) = (AuthServiceClient::new(channel), Vec::new());
    while new.len() < room {
        let phone = format!("0912{:07}", Random.below(10_000_000));
        let request = v1::RequestOtpRequest { identifier: Some(phone_number(&phone)), ..Default::default() };
        let Ok(answer) = auth.request_otp(request).await else { break };
        let challenge = answer.into_inner().challenge.unwrap().challenge_id;
        let Some(code) = program.code(&challenge).await else { break };
        let Ok(answer) = auth.login(login(&challenge, &code)).await else { break };
        new.push(Owner::new(None, answer.into_inner().tokens.unwrap().refresh_token, new.len() % 2 == 0));
    }
    new
}

/// Runs the program and kills it, so many times.
async fn killed(row: &str, backend: Backend, times: usize) {
    let mut app = TestApp::today(backend, &SETTINGS).await;
    let mut owners = Vec::new();
    for number in 0..SESSIONS {
        let person = newcomer(&app).await;
        owners.push(Owner::new(Some(session_of(&app, &person.access_token)), person.refresh_token, number % 2 == 0));
    }
    app.nodes.pop().unwrap().stop().await;
    let url = app.settings.iter().rfind(|(name, _)| name == "database.url").unwrap().1.clone();
    let mut all = Outcome::default();
    for time in 0..times {
        let mut program = Program::start(&app.settings);
        let channel = Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap();
        if backend == Backend::Embedded && time % 10 == 0 {
            let (code, said) = Program::start(&app.settings).end(std::time::Duration::from_secs(30)).await;
            assert!(code != Some(0) && said.contains("another process is serving from "), "{code:?} {said}");
        }
        let pid = program.id();
        let room = MOST.saturating_sub(owners.len());
        let tokens = TokenServiceClient::new(channel.clone());
        let going_on = join_all(owners.iter_mut().map(|owner| owner.go_on(tokens.clone())));
        let kill = async {
            tokio::time::sleep(Duration::from_millis(Random.below(RUNS).into())).await;
            let killed = std::process::Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
            assert!(killed.unwrap().success());
        };
        let (outcomes, new, ()) = tokio::join!(going_on, sign_in(&program, channel, room), kill);
        program.kill();
        for outcome in outcomes {
            all.lost += outcome.lost;
            all.forked += outcome.forked;
            all.asked_again += outcome.asked_again;
        }
        all.signed_in += new.len();
        owners.extend(new);
        if backend == Backend::Embedded {
            let mut file = SqliteConnection::connect(&url).await.unwrap();
            let sound: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut file).await.unwrap();
            assert_eq!(sound, "ok");
            file.close().await.unwrap();
        }
        assert_eq!((all.lost, all.forked), (0, 0), "{row}: killed {time} times before");
    }

    // Everybody is where the database says.
    app.add_node().await;
    let store = &app.node().app().store;
    let mut steps = 0;
    for owner in &mut owners {
        let intent = owner.unanswered.take().unwrap_or_default();
        match refresh(&mut app.node().tokens(), &owner.token, &intent).await {
            Ok(_) => owner.steps += 1,
            Err(_) => all.lost += 1,
        }
        steps += owner.steps;
        if let Some(session) = owner.session {
            let generation = number(store, "SELECT generation FROM sessions WHERE id = $1", &[session.0]).await;
            all.forked += usize::from(generation != 1 + owner.steps);
        }
    }
    let stolen = app.rows("events WHERE kind = 'session.refresh_token_reused'").await;
    eprintln!(
        "{row}: killed {times} times during {steps} refreshes of {} sessions and {} sign-ins; {} asked again, {} lost, \
         {} forked, {stolen} taken for stolen",
        owners.len(),
        all.signed_in,
        all.asked_again,
        all.lost,
        all.forked,
    );
    assert_eq!((all.lost, all.forked, stolen), (0, 0, 0), "{row}");
    assert!(all.asked_again > 0 && all.signed_in > 0, "{row}: nothing was under way");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r5_a_kill_loses_and_forks_nothing() {
    if has_services() {
        killed("R5", Backend::Shared, figure(200, 4)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_a_kill_loses_and_forks_nothing_in_a_file() {
    killed("F10", Backend::Embedded, figure(200, 4)).await;
}
