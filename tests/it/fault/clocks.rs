//! The clock of one machine jumps by an hour, or is wrong from the beginning (F4). Its node goes on by the time that all nodes
//! share: it accepts nothing that is over and refuses nothing that is not, and takes nobody for a thief.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use countersign::clock::Clock;
use countersign::model::Job;
use countersign::proto::v1;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use futures_util::future::join_all;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};

use super::SOON;
use crate::harness::{Backend, Program, TestApp, bearer, figure, has_services, request_id};
use crate::session::newcomer;

/// How long access tokens live, and how far clocks may be apart.
const LIFETIME: Duration = Duration::from_secs(10);
const LEEWAY: Duration = Duration::from_secs(2);
/// How exactly the moment is known at which a token was issued.
const INEXACT: Duration = Duration::from_secs(1);

/// Three nodes. The machine of the last one has a clock that is as wrong as a file says.
struct Stage {
    app: TestApp,
    nodes: Vec<Channel>,
    _programs: Vec<Program>,
}

/// What came of it.
#[derive(Default, Debug)]
struct Outcome {
    /// How many answers said that a token counts which was over, or taken back.
    accepted: usize,
    /// How many said that one does not which does.
    refused: usize,
    /// How many people were signed out who had not asked for it.
    lost: usize,
    answers: usize,
}

impl Stage {
    async fn set(file: &Path, library: &str) -> Self {
        let settings = [
            ("token.access_lifetime", "10s"),
            ("revocation.reconcile_every", "200ms"),
            // What a node does by itself it does often; and its keys are due after as long as its clock jumps.
            ("purge.every", "1s"),
            ("jobs.rotate_keys_every", "1s"),
            ("keys.rotate_every", "1h"),
        ];
        let mut app = TestApp::today(Backend::Shared, &settings).await;
        app.nodes.pop().unwrap().stop().await;
        let file = file.display().to_string();
        let wrong = [
            ("LD_PRELOAD", library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            // The file is looked at each time; and what counts the time since the machine began does not jump with its clock.
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ];
        let programs = vec![
            Program::start(&app.settings),
            Program::start(&app.settings),
            Program::start_among(&app.settings, &wrong),
        ];
        let mut nodes = Vec::new();
        for program in &programs {
            nodes.push(Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap());
        }
        Self { app, nodes, _programs: programs }
    }

    fn tokens(&self, node: usize) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.nodes[node].clone())
    }

    async fn refresh(&self, node: usize, token: &str, intent: &str) -> Option<v1::Tokens> {
        let request =
            v1::RefreshRequest { refresh_token: token.to_owned(), request_id: intent.to_owned(), ..Default::default() };
        match self.tokens(node).refresh(request).await {
            Ok(answer) => answer.into_inner().tokens,
            Err(status) => {
                eprintln!("node {node} answered a refresh with {status:?}");
                None
            }
        }
    }

    async fn is_active(&self, node: usize, token: &str) -> bool {
        let request = v1::IntrospectRequest { token: token.to_owned(), ..Default::default() };
        self.tokens(node).introspect(bearer(request, &self.app.api_key)).await.unwrap().into_inner().active
    }

    /// One life: tokens from one node after the other, each asked about everywhere until it is over. Where they are not named,
    /// a repetition has the grace alone.
    async fn live(&self, number: usize, token: String) -> Outcome {
        let (mut outcome, mut token) = (Outcome::default(), token);
        for step in 0..4 {
            let (node, other) = ((number + step) % 3, (number + step + 1) % 3);
            let intent = if number.is_multiple_of(2) { request_id() } else { String::new() };
            let Some(tokens) = self.refresh(node, &token, &intent).await else {
                outcome.lost += 1;
                return outcome;
            };
            let again = self.refresh(other, &token, &intent).await;
            outcome.lost += usize::from(again.is_none_or(|again| again.refresh_token != tokens.refresh_token));
            token = tokens.refresh_token;
            let issued = Instant::now();
            if step == 3 {
                outcome.taken_back(self, node, &tokens.access_token).await;
                return outcome;
            }
            while issued.elapsed() < LIFETIME + LEEWAY + INEXACT * 2 {
                for node in 0..3 {
                    let before = issued.elapsed();
                    let active = self.is_active(node, &tokens.access_token).await;
                    outcome.answers += 1;
                    outcome.accepted += usize::from(active && before > LIFETIME + LEEWAY + INEXACT);
                    outcome.refused += usize::from(!active && issued.elapsed() + INEXACT < LIFETIME);
                }
                sleep(Duration::from_millis(200)).await;
            }
        }
        outcome
    }
}

impl Outcome {
    /// A sign-out on one node, which counts on the others within the bound.
    async fn taken_back(&mut self, stage: &Stage, node: usize, token: &str) {
        let mut auth = AuthServiceClient::new(stage.nodes[node].clone());
        auth.logout(bearer(v1::LogoutRequest::default(), token)).await.unwrap();
        let acknowledged = Instant::now();
        self.accepted += usize::from(stage.is_active(node, token).await);
        for node in 0..3 {
            while stage.is_active(node, token).await {
                if acknowledged.elapsed() > Duration::from_secs(5) {
                    self.accepted += 1;
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_a_clock_that_jumps_changes_nothing() {
    if !has_services() {
        return;
    }
    let Some(library) = std::env::var_os("COUNTERSIGN_TEST_FAKETIME") else {
        assert!(std::env::var_os("CI").is_none(), "libfaketime must be installed where CI is set");
        return eprintln!("skipped: libfaketime is not installed");
    };
    let library = library.into_string().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("time");
    let tell = |offset: &str| {
        // In one step: the file is never seen half written.
        let next = folder.path().join("next");
        std::fs::write(&next, format!("{offset}\n")).unwrap();
        std::fs::rename(next, &file).unwrap();
    };
    // From the beginning, and in the middle.
    let ways = [("+1h", "-1h"), ("-1h", "+1h"), ("+0", "-1h"), ("+0", "+1h")];
    let ways = &ways[..figure(4, 1)];
    let mut all = Outcome::default();
    for (at_first, later) in ways {
        tell(at_first);
        let mut stage = Stage::set(&file, &library).await;
        stage.app.add_node().await;
        let mut people = Vec::new();
        for _ in 0..figure(60, 6) {
            people.push(newcomer(&stage.app).await.refresh_token);
        }
        let keys = stage.app.rows("signing_keys").await;
        let jump = async {
            sleep(LIFETIME + LIFETIME / 2).await;
            tell(later);
        };
        let lives = join_all(people.into_iter().enumerate().map(|(number, token)| stage.live(number, token)));
        for outcome in tokio::join!(lives, jump).0 {
            all.accepted += outcome.accepted;
            all.refused += outcome.refused;
            all.lost += outcome.lost;
            all.answers += outcome.answers;
        }
        assert_eq!(stage.app.rows("events WHERE kind = 'session.refresh_token_reused'").await, 0);
        assert_eq!(stage.app.rows("signing_keys").await, keys, "a clock that jumped has rotated keys");
        for job in [Job::Purge, Job::RotateKeys] {
            let record = stage.app.node().app().store.job_record(job).await.unwrap().record;
            let last = record.succeeded_at.unwrap_or_else(|| panic!("{job} was not done: {record:?}"));
            assert!((Clock::System.now() - last).abs() < TimeDelta::minutes(10), "{record:?}");
        }
        let elsewhen = "events WHERE ABS(EXTRACT(EPOCH FROM at - clock_timestamp())) > 1800";
        assert_eq!(stage.app.rows(elsewhen).await, 0, "something is said to have happened at another time");
        let began = Instant::now();
        stage.app.stop().await;
        assert!(began.elapsed() < SOON);
    }
    eprintln!(
        "F4: {} jumps by an hour and more on one of 3 nodes, {} answers: {} accepted beyond the leeway, {} refused too early, \
         {} signed out",
        ways.len() * 2,
        all.answers,
        all.accepted,
        all.refused,
        all.lost,
    );
    assert_eq!((all.accepted, all.refused, all.lost), (0, 0, 0));
}
