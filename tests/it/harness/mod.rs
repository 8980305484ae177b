//! A real server for each test: on port 0, with a database and a name space in the cache of its own, a clock that the test
//! moves, and the codes that would have been sent.
//!
//! PostgreSQL and Redis come from `COUNTERSIGN_TEST_POSTGRES_URL` and `COUNTERSIGN_TEST_REDIS_URL`; `scripts/test` starts
//! them. Without them the tests that need them are skipped with a line that says so, but fail where `CI` is set.

mod call;
mod certificates;
pub(crate) mod database;
mod figure;
mod node;
mod nowhere;
mod postgres;
mod program;
mod rabbitmq;
mod redis;
mod wire;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use countersign::clock::Clock;
use countersign::model::{Content, Message};
use countersign::proto::v1;
use countersign::random::Random;
use countersign::store::Store;
use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::Status;

pub(crate) use self::call::{Details, bearer, details, mail_address, phone_number, request_id};
pub(crate) use self::certificates::{Authority, Certified};
pub(crate) use self::figure::figure;
pub(crate) use self::node::Node;
pub(crate) use self::nowhere::Nowhere;
pub(crate) use self::postgres::{End, OwnPostgres};
pub(crate) use self::program::Program;
pub(crate) use self::rabbitmq::OwnRabbit;
pub(crate) use self::redis::{Fall, OwnCluster, OwnRedis, OwnSentinel};
pub(crate) use self::wire::Wire;

/// What an installation stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// SQLite and the process's own memory.
    Embedded,
    /// PostgreSQL and Redis.
    Shared,
}

/// Makes each named function a test on both backends.
macro_rules! on_both_backends {
    ($($test:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test($crate::harness::Backend::Embedded).await })*
        }
        mod shared {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if $crate::harness::has_services() { super::$test($crate::harness::Backend::Shared).await }
            })*
        }
    };
}
pub(crate) use on_both_backends;

/// Whether PostgreSQL and Redis are at hand. Where `CI` is set they must be.
pub(crate) fn has_services() -> bool {
    let missing: Vec<_> = [POSTGRES, REDIS].into_iter().filter(|name| std::env::var_os(name).is_none()).collect();
    assert!(
        missing.is_empty() || std::env::var_os("CI").is_none(),
        "{} must be set where CI is set",
        missing.join(", ")
    );
    if !missing.is_empty() {
        eprintln!("skipped: {} not set; scripts/test sets them", missing.join(", "));
    }
    missing.is_empty()
}

/// What a variable leads to; `scripts/test` sets it. None where it is missing and may be.
pub(crate) fn led_to(variable: &str) -> Option<PathBuf> {
    let place = std::env::var_os(variable).map(PathBuf::from);
    if place.is_none() {
        assert!(std::env::var_os("CI").is_none(), "{variable} must be set where CI is set");
        eprintln!("skipped: {variable} not set; scripts/test sets it");
    }
    place
}

/// Thousands of calls at once: one test at a time does that, so that the others find a machine that still answers.
pub(crate) async fn storm() -> tokio::sync::MutexGuard<'static, ()> {
    static STORM: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    STORM.lock().await
}

const POSTGRES: &str = "COUNTERSIGN_TEST_POSTGRES_URL";
const REDIS: &str = "COUNTERSIGN_TEST_REDIS_URL";

/// An installation of one or more nodes.
pub(crate) struct TestApp {
    /// The nodes; most tests have one.
    pub nodes: Vec<Node>,
    /// The time of all of them.
    pub clock: Clock,
    /// An API key with every permission.
    pub api_key: String,
    /// The settings that differ from the defaults, for another node of the same installation.
    pub settings: Vec<(String, String)>,
    codes: Mutex<Codes>,
    _folder: TempDir,
}

struct Codes {
    arriving: mpsc::UnboundedReceiver<Message>,
    sender: mpsc::UnboundedSender<Message>,
    arrived: HashMap<String, Vec<String>>,
    messages: Vec<Message>,
}

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub access_token: String,
    pub refresh_token: String,
    pub account_id: String,
}

impl TestApp {
    /// One node with the defaults.
    pub(crate) async fn new(backend: Backend) -> Self {
        Self::with(backend, &[]).await
    }

    /// One node with some settings of its own, by their dotted names.
    pub(crate) async fn with(backend: Backend, settings: &[(&str, &str)]) -> Self {
        Self::cluster(backend, 1, settings).await
    }

    /// One node whose time is that of the world, for programs that have no other.
    pub(crate) async fn today(backend: Backend, settings: &[(&str, &str)]) -> Self {
        Self::begin(backend, 1, settings, Clock::System.now()).await
    }

    /// Several nodes on one database and one cache.
    pub(crate) async fn cluster(backend: Backend, nodes: usize, own: &[(&str, &str)]) -> Self {
        Self::begin(backend, nodes, own, DateTime::from_timestamp(1_900_000_000, 0).unwrap()).await
    }

    async fn begin(backend: Backend, nodes: usize, own: &[(&str, &str)], start: DateTime<Utc>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = vec![
            ("grpc.listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("http.listen".to_owned(), "127.0.0.1:0".to_owned()),
            ("grpc.workers".to_owned(), "1".to_owned()),
            ("grpc.drain".to_owned(), "2s".to_owned()),
            // Tests that storm something are to reach it, however late a busy machine is.
            ("load.late".to_owned(), "1m".to_owned()),
            ("load.calls".to_owned(), "100000".to_owned()),
            ("revocation.reconcile_every".to_owned(), "100ms".to_owned()),
            // Tests move the time by days; what is to happen by itself then, a test of that asks for.
            ("purge.every".to_owned(), "never".to_owned()),
            ("jobs.rotate_keys_every".to_owned(), "never".to_owned()),
        ];
        match backend {
            Backend::Embedded => {
                let file = folder.path().join("test.db");
                settings.push(("database.url".to_owned(), format!("sqlite:{}", file.display())));
            }
            Backend::Shared => {
                settings.push(("database.url".to_owned(), new_database().await));
                settings.push(("cache.url".to_owned(), std::env::var(REDIS).unwrap()));
                // Tests share two cores; what is tested is not how quickly Redis answers then.
                settings.push(("cache.timeout".to_owned(), "2s".to_owned()));
                settings.push(("cache.key_prefix".to_owned(), unique("test-")));
            }
        }
        settings.extend(own.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));

        let clock = Clock::manual(start);
        let (sender, arriving) = mpsc::unbounded_channel();
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(Node::start(&settings, clock.clone(), sender.clone()).await);
        }
        let api_key = started[0].app().development_key().await.unwrap().unwrap().expose().clone();
        for node in &started {
            node.app().callers.reload().await.unwrap();
        }
        let codes = Mutex::new(Codes { arriving, sender, arrived: HashMap::new(), messages: Vec::new() });
        Self { nodes: started, clock, api_key, settings, codes, _folder: folder }
    }

    /// Starts one more node on the same database and cache.
    pub(crate) async fn add_node(&mut self) {
        let sender = self.codes.lock().sender.clone();
        self.nodes.push(Node::start(&self.settings, self.clock.clone(), sender).await);
    }

    /// The same, with one setting that is the new node's own.
    pub(crate) async fn add_node_with(&mut self, name: &str, value: &str) {
        self.settings.push((name.to_owned(), value.to_owned()));
        self.add_node().await;
        self.settings.pop();
    }

    /// The first node.
    pub(crate) fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// Moves the time of all nodes.
    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
    }

    /// Lets the time of all nodes run as it does outside, for as long as this is waited for.
    pub(crate) async fn let_time_run(&self) {
        let mut last = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let passed = last.elapsed();
            self.clock.advance(TimeDelta::from_std(passed).unwrap());
            last += passed;
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The code that was sent last for a challenge.
    pub(crate) async fn code(&self, challenge_id: &str) -> String {
        self.codes_sent(challenge_id, 1).await.pop().unwrap()
    }

    /// All codes that were sent for a challenge, once there are so many.
    pub(crate) async fn codes_sent(&self, challenge_id: &str, at_least: usize) -> Vec<String> {
        for _ in 0..500 {
            let sent = self.codes_so_far(challenge_id);
            if sent.len() >= at_least {
                return sent;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("fewer than {at_least} codes were sent for challenge {challenge_id}");
    }

    /// All codes that have been sent for a challenge up to now.
    pub(crate) fn codes_so_far(&self, challenge_id: &str) -> Vec<String> {
        let mut codes = self.codes.lock();
        while let Ok(message) = codes.arriving.try_recv() {
            if let Content::Code { challenge_id, code, .. } = &message.content {
                codes.arrived.entry(challenge_id.to_string()).or_default().push(code.expose().clone());
            }
            codes.messages.push(message);
        }
        codes.arrived.get(challenge_id).cloned().unwrap_or_default()
    }

    /// How many messages have been sent to anybody up to now.
    pub(crate) fn messages_so_far(&self) -> usize {
        self.codes_so_far("");
        self.codes.lock().messages.len()
    }

    /// What has been sent up to now to a number or an address, in its one spelling: codes, links and news.
    pub(crate) fn messages_to(&self, identifier: &str) -> Vec<Message> {
        self.codes_so_far("");
        self.codes.lock().messages.iter().filter(|message| message.to.as_str() == identifier).cloned().collect()
    }

    /// The first message to somebody that is of a kind (`Content::kind`), once it has been sent.
    pub(crate) async fn message_to(&self, identifier: &str, kind: &str) -> Message {
        for _ in 0..500 {
            let sent = self.messages_to(identifier).into_iter().find(|message| message.content.kind() == kind);
            if let Some(message) = sent {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no {kind} was sent to {identifier}");
    }

    /// Asks for a code for a phone number.
    pub(crate) async fn challenge(&self, phone: &str) -> v1::OtpChallenge {
        let request = v1::RequestOtpRequest { identifier: Some(phone_number(phone)), ..Default::default() };
        self.node().auth().request_otp(request).await.unwrap().into_inner().challenge.unwrap()
    }

    /// Signs somebody in by phone.
    pub(crate) async fn sign_in(&self, phone: &str) -> Person {
        let challenge = self.challenge(phone).await;
        let code = self.code(&challenge.challenge_id).await;
        let request = call::login(&challenge.challenge_id, &code);
        let answer = self.node().auth().login(request).await.unwrap().into_inner();
        let tokens = answer.tokens.unwrap();
        Person {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            account_id: answer.account.unwrap().account_id,
        }
    }

    /// Whether a node holds a token to be active, if it can tell.
    pub(crate) async fn ask(&self, node: usize, token: &str) -> Result<bool, Status> {
        let request = v1::IntrospectRequest { token: token.to_owned(), ..Default::default() };
        let answer = self.nodes[node].tokens().introspect(bearer(request, &self.api_key)).await?;
        Ok(answer.into_inner().active)
    }

    /// Whether a node holds a token to be active.
    pub(crate) async fn is_active_on(&self, node: usize, token: &str) -> bool {
        self.ask(node, token).await.unwrap()
    }

    /// Whether the first node holds a token to be active.
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        self.is_active_on(0, token).await
    }

    /// How many rows a table has, or a table with a condition.
    pub(crate) async fn rows(&self, table: &str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        match &self.node().app().store {
            Store::Postgres(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
            Store::Sqlite(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
        }
    }

    /// Waits until nothing waits in the outbox.
    pub(crate) async fn collected(&self) {
        for _ in 0..3_000 {
            if self.rows("events WHERE outbox_seq IS NOT NULL").await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("events stay in the outbox");
    }

    /// Starts the installation anew with one more setting, as one node.
    pub(crate) async fn restart_with(&mut self, name: &str, value: &str) {
        for node in self.nodes.drain(..) {
            node.stop().await;
        }
        self.settings.push((name.to_owned(), value.to_owned()));
        self.add_node().await;
    }

    /// Ends all nodes in good order.
    pub(crate) async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

/// An exchange of proof for a session.
pub(crate) use self::call::login;

/// A database that nobody else uses.
pub(crate) async fn new_database() -> String {
    let server = std::env::var(POSTGRES).unwrap();
    let name = unique("test_");
    let mut connection = PgConnection::connect(&server).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

fn unique(prefix: &str) -> String {
    format!("{prefix}{}", Random.id(DateTime::UNIX_EPOCH).simple())
}

/// An application, shared the way a server does it.
pub(crate) type SharedApp = Arc<countersign::app::App>;
