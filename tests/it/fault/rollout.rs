//! Nodes make way for new ones while they are used (F9): whoever asks a second time, elsewhere, is answered, and whoever
//! watches misses nothing.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::revocation::Target;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::watch_revocations_response::Event;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::SOON;
use crate::harness::{Backend, Person, Program, TestApp, bearer, figure, has_services, request_id};
use crate::session::{newcomer, session_of};

/// For how long a node that has been asked to stop still is among those that are asked.
const NOTICED: Duration = Duration::from_millis(300);
const INTROSPECTING: usize = 6;
const REFRESHING: usize = 4;

/// The nodes as a client knows them.
#[derive(Default)]
struct Nodes {
    known: Mutex<Vec<(u32, Channel)>>,
    next: AtomicUsize,
    calls: AtomicUsize,
    again: AtomicUsize,
    failed: AtomicUsize,
}

impl Nodes {
    async fn add(&self, program: &Program) {
        let endpoint = Endpoint::from_shared(program.address().await).unwrap();
        let channel = endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy();
        self.known.lock().push((program.id(), channel));
    }

    fn remove(&self, program: u32) {
        self.known.lock().retain(|(known, _)| *known != program);
    }

    /// One after the other; never the one that has just failed, if there is another.
    fn pick(&self, failed: Option<u32>) -> (u32, Channel) {
        let known = self.known.lock();
        let others: Vec<_> = known.iter().filter(|(node, _)| Some(*node) != failed).collect();
        others[self.next.fetch_add(1, Ordering::SeqCst) % others.len()].clone()
    }

    /// Asks, and once more elsewhere where there was no answer.
    async fn ask<T>(&self, ask: impl AsyncFn(Channel) -> Result<T, Status>) -> Option<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (node, channel) = self.pick(None);
        let status = match ask(channel).await {
            Ok(answer) => return Some(answer),
            Err(status) => status,
        };
        // A status with a source was made by the client, out of what became of the connection.
        if status.code() == Code::Unavailable || std::error::Error::source(&status).is_some() {
            self.again.fetch_add(1, Ordering::SeqCst);
            match ask(self.pick(Some(node)).1).await {
                Ok(answer) => return Some(answer),
                Err(second) => eprintln!("failed twice: {status:?}, then {second:?}"),
            }
        } else {
            eprintln!("failed: {status:?}");
        }
        self.failed.fetch_add(1, Ordering::SeqCst);
        None
    }
}

/// Asks about somebody who stays signed in.
async fn introspect(nodes: &Nodes, key: &str, person: &Person, done: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let request = v1::IntrospectRequest { token: person.access_token.clone(), ..Default::default() };
        let answer =
            nodes.ask(async |channel| TokenServiceClient::new(channel).introspect(bearer(request.clone(), key)).await);
        if let Some(answer) = answer.await {
            assert!(answer.into_inner().active);
        }
        sleep(Duration::from_millis(2)).await;
    }
}

/// Goes from one pair of tokens to the next.
async fn refresh(nodes: &Nodes, person: &Person, done: &AtomicBool) {
    let mut token = person.refresh_token.clone();
    while !done.load(Ordering::SeqCst) {
        let request =
            v1::RefreshRequest { refresh_token: token.clone(), request_id: request_id(), ..Default::default() };
        let answer = nodes.ask(async |channel| TokenServiceClient::new(channel).refresh(request.clone()).await);
        if let Some(answer) = answer.await {
            token = answer.into_inner().tokens.unwrap().refresh_token;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// Signs people out; who that was.
async fn sign_out(nodes: &Nodes, people: &[(Person, Vec<u8>)], done: &AtomicBool) -> HashSet<Vec<u8>> {
    let mut out = HashSet::new();
    for (person, session) in people {
        if done.load(Ordering::SeqCst) {
            break;
        }
        let answer = nodes.ask(async |channel| {
            let request = bearer(v1::LogoutRequest::default(), &person.access_token);
            AuthServiceClient::new(channel).logout(request).await
        });
        if answer.await.is_some() {
            out.insert(session.clone());
        }
        sleep(Duration::from_millis(100)).await;
    }
    out
}

/// Watches, wherever that goes on; what it was told of.
async fn watch(nodes: &Nodes, key: &str, told: &Mutex<HashSet<Vec<u8>>>) {
    let mut cursor = String::new();
    loop {
        let request = v1::WatchRevocationsRequest {
            cursor: cursor.clone(),
            heartbeat: Some(prost_types::Duration { seconds: 0, nanos: 100_000_000 }),
        };
        let stream = nodes.ask(async |channel| {
            TokenServiceClient::new(channel).watch_revocations(bearer(request.clone(), key)).await
        });
        let Some(stream) = stream.await else { continue };
        let mut stream = stream.into_inner();
        // It ends with the node.
        while let Ok(Some(message)) = timeout(SOON, stream.message()).await.expect("a watch that says nothing") {
            match message.event {
                Some(Event::Checkpoint(checkpoint)) => cursor = checkpoint.cursor,
                Some(Event::Revocation(revocation)) => {
                    if let Some(Target::SessionId(session)) = revocation.target {
                        told.lock().insert(session.into_bytes());
                    }
                }
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f9_rollouts_fail_nobody_who_asks_twice() {
    if !has_services() {
        return;
    }
    let settings = [("token.access_lifetime", "1h"), ("grpc.drain", "10s")];
    let mut app = TestApp::today(Backend::Shared, &settings).await;
    let (kept, mut leaving) = (newcomer(&app).await, Vec::new());
    let rollouts = figure(50, 3);
    for _ in 0..rollouts * 40 {
        let person = newcomer(&app).await;
        let session = session_of(&app, &person.access_token).to_string().into_bytes();
        leaving.push((person, session));
    }
    let mut refreshing = Vec::new();
    for _ in 0..REFRESHING {
        refreshing.push(newcomer(&app).await);
    }
    app.nodes.pop().unwrap().stop().await;

    let (nodes, done, told) = (Nodes::default(), AtomicBool::new(false), Mutex::new(HashSet::new()));
    let mut programs = vec![Program::start(&app.settings), Program::start(&app.settings)];
    for program in &programs {
        nodes.add(program).await;
    }
    let rolling = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..rollouts {
            let new = Program::start(&app.settings);
            nodes.add(&new).await;
            let old = programs.remove(0);
            programs.push(new);
            let (id, began) = (old.id(), Instant::now());
            old.terminate();
            let notice = async {
                sleep(NOTICED).await;
                nodes.remove(id);
            };
            let ((code, log), ()) = tokio::join!(old.end(Duration::from_mins(1)), notice);
            assert_eq!(code, Some(0), "{log}");
            assert!(!log.contains("when the time was up"), "{log}");
            slowest = slowest.max(began.elapsed());
        }
        // What was told last still has to arrive.
        sleep(Duration::from_secs(1)).await;
        done.store(true, Ordering::SeqCst);
        slowest
    };
    let load = async {
        let introspecting = join_all((0..INTROSPECTING).map(|_| introspect(&nodes, &app.api_key, &kept, &done)));
        let refreshing = join_all(refreshing.iter().map(|person| refresh(&nodes, person, &done)));
        let (out, slowest, _, _) = tokio::join!(sign_out(&nodes, &leaving, &done), rolling, introspecting, refreshing);
        // The watch has what came last within the bound.
        let began = Instant::now();
        while out.difference(&told.lock()).next().is_some() && began.elapsed() < SOON {
            sleep(Duration::from_millis(50)).await;
        }
        (out, slowest)
    };
    let (out, slowest) = tokio::select! {
        outcome = load => outcome,
        () = watch(&nodes, &app.api_key, &told) => unreachable!("a watch goes on"),
    };
    let missed = out.difference(&told.lock()).count();
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    let (calls, again, failed) = (count(&nodes.calls), count(&nodes.again), count(&nodes.failed));
    eprintln!(
        "F9: {rollouts} rollouts, {calls} calls, {again} asked again, {failed} failed; {} signed out, {missed} of them missed \
         by a watcher; a node ended within {slowest:?}",
        out.len(),
    );
    assert_eq!((failed, missed), (0, 0));
    assert!(out.len() >= rollouts);
}
