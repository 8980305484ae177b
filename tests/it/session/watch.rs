//! Following what is taken back: snapshots, changes, checkpoints, cursors, and those who cannot keep up.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign::proto::v1;
use countersign::proto::v1::revocation::Target;
use countersign::proto::v1::watch_revocations_response::Event;
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::{log_out, newcomer, refused_after, session_of};
use crate::harness::{Backend, Details, Node, Program, TestApp, bearer, details, figure, on_both_backends};

on_both_backends!(
    a_snapshot_is_followed_by_changes,
    every_kind_is_told,
    a_cursor_goes_on_where_it_left_off_on_any_node,
    what_cannot_be_a_cursor_or_a_heartbeat_is_refused,
    without_a_database_checkpoints_go_on_and_promise_nothing_new,
    a_watcher_is_told_that_its_node_leaves,
    there_are_only_so_many_watchers,
    whoever_may_no_longer_call_is_told_nothing_more,
);

/// How long anything may take that ought to be there soon.
const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who watches.
struct Watcher(Streaming<v1::WatchRevocationsResponse>);

impl Watcher {
    async fn begin(node: &Node, key: &str, cursor: &str) -> Result<Self, Status> {
        let request = v1::WatchRevocationsRequest { cursor: cursor.to_owned(), heartbeat: Some(span(100)) };
        node.tokens().watch_revocations(bearer(request, key)).await.map(|answer| Self(answer.into_inner()))
    }

    async fn next(&mut self) -> Result<Event, Status> {
        let message = timeout(PATIENCE, self.0.message()).await.expect("nothing is told")?;
        Ok(message.expect("the stream ended without a word").event.unwrap())
    }

    /// What is told up to the next checkpoint, and that checkpoint.
    async fn until_checkpoint(&mut self) -> (Vec<Event>, v1::Checkpoint) {
        let mut events = Vec::new();
        loop {
            match self.next().await.unwrap() {
                Event::Checkpoint(checkpoint) => return (events, checkpoint),
                event => events.push(event),
            }
        }
    }

    /// What is told until somebody's session or token is.
    async fn until_told(&mut self, target: &Target) -> v1::Revocation {
        loop {
            if let Event::Revocation(revocation) = self.next().await.unwrap()
                && revocation.target.as_ref() == Some(target)
            {
                return revocation;
            }
        }
    }

    /// Why nothing more is told.
    async fn end(&mut self) -> Details {
        loop {
            if let Err(status) = self.next().await {
                return details(&status);
            }
        }
    }
}

fn span(millis: i32) -> prost_types::Duration {
    prost_types::Duration { seconds: (millis / 1_000).into(), nanos: millis % 1_000 * 1_000_000 }
}

fn session(app: &TestApp, access_token: &str) -> Target {
    Target::SessionId(session_of(app, access_token).to_string())
}

async fn a_snapshot_is_followed_by_changes(backend: Backend) {
    let app = TestApp::new(backend).await;
    let (before, after) = (newcomer(&app).await, newcomer(&app).await);
    log_out(&app, &before.access_token).await;
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    assert!(matches!(watcher.next().await.unwrap(), Event::SnapshotBegin(_)));
    let (snapshot, first) = watcher.until_checkpoint().await;
    let Event::Revocation(revocation) = &snapshot[0] else { panic!("{snapshot:?}") };
    assert_eq!((snapshot.len(), revocation.target.as_ref()), (1, Some(&session(&app, &before.access_token))));
    assert!(revocation.revoked_at.is_none());
    let lasts = revocation.expires_at.unwrap().seconds - app.now().timestamp();
    assert!((300..=305).contains(&lasts), "{lasts}");

    log_out(&app, &after.access_token).await;
    watcher.until_told(&session(&app, &after.access_token)).await;
    // The clock stands still until it is moved, and then so much is promised as was compared.
    app.advance(3);
    let moved = app.now().timestamp();
    while watcher.until_checkpoint().await.1.as_of.unwrap().seconds < moved {}
    assert_eq!(first.as_of.unwrap().seconds, moved - 3);
    app.stop().await;
}

async fn every_kind_is_told(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    watcher.until_checkpoint().await;
    let person = newcomer(&app).await;
    let request = v1::RevokeRequest { token: person.access_token.clone(), ..Default::default() };
    app.node().tokens().revoke(bearer(request, &app.api_key)).await.unwrap();
    let token = super::token_id(&app, &person.access_token).to_string();
    assert!(watcher.until_told(&Target::TokenId(token)).await.revoked_at.is_none());

    let target = Some(v1::blacklist_request::Target::AccountId(person.account_id.clone()));
    let request = bearer(v1::BlacklistRequest { target, ..Default::default() }, &app.api_key);
    let answer = app.node().tokens().blacklist(request).await.unwrap().into_inner();
    // Each session by name, and the cut-off for what else there may be.
    watcher.until_told(&session(&app, &person.access_token)).await;
    let cut_off = watcher.until_told(&Target::AccountId(person.account_id)).await;
    assert_eq!(cut_off.revoked_at, answer.revoked_at);
    app.stop().await;
}

async fn a_cursor_goes_on_where_it_left_off_on_any_node(backend: Backend) {
    let nodes = if backend == Backend::Shared { 2 } else { 1 };
    let app = TestApp::cluster(backend, nodes, &[]).await;
    let (old, missed) = (newcomer(&app).await, newcomer(&app).await);
    log_out(&app, &old.access_token).await;
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    watcher.until_told(&session(&app, &old.access_token)).await;
    for node in 0..nodes {
        refused_after(&app, node, &old.access_token).await;
    }
    // Further apart than clocks may be.
    app.advance(11);
    let now = app.now().timestamp();
    let cursor = loop {
        let (_, checkpoint) = watcher.until_checkpoint().await;
        if checkpoint.as_of.unwrap().seconds == now {
            break checkpoint.cursor;
        }
    };
    drop(watcher);
    log_out(&app, &missed.access_token).await;

    for node in &app.nodes {
        let mut again = Watcher::begin(node, &app.api_key, &cursor).await.unwrap();
        let told = loop {
            // Another node hears of it a moment later.
            let (told, _) = again.until_checkpoint().await;
            if !told.is_empty() {
                break told;
            }
        };
        let Event::Revocation(revocation) = &told[0] else { panic!("{told:?}") };
        assert_eq!((told.len(), revocation.target.as_ref()), (1, Some(&session(&app, &missed.access_token))));
    }
    app.stop().await;
}

async fn what_cannot_be_a_cursor_or_a_heartbeat_is_refused(backend: Backend) {
    let app = TestApp::new(backend).await;
    let ask = async |cursor: &str, heartbeat| {
        let request = v1::WatchRevocationsRequest { cursor: cursor.to_owned(), heartbeat };
        let answer = app.node().tokens().watch_revocations(bearer(request, &app.api_key)).await;
        details(&answer.err().unwrap())
    };
    for cursor in ["x", "AQ", &"A".repeat(10_000)] {
        let refused = ask(cursor, None).await;
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["cursor".to_owned()]), "{cursor}");
    }
    let endless = prost_types::Duration { seconds: i64::MAX, nanos: 0 };
    for heartbeat in [span(0), span(99), span(-1_000), span(60_001), endless] {
        let refused = ask("", Some(heartbeat)).await;
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["heartbeat".to_owned()]));
    }
    // From a time that is still to come: the database may have been set back.
    app.advance(60);
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let cursor = loop {
        let (_, checkpoint) = watcher.until_checkpoint().await;
        if checkpoint.as_of.unwrap().seconds == app.now().timestamp() {
            break checkpoint.cursor;
        }
    };
    app.advance(-60);
    let refused = ask(&cursor, None).await;
    assert_eq!((refused.code, refused.reason.as_str()), (Code::OutOfRange, "CURSOR_TOO_OLD"));
    app.stop().await;
}

async fn without_a_database_checkpoints_go_on_and_promise_nothing_new(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let (_, first) = watcher.until_checkpoint().await;
    app.node().shut_database().await;
    app.advance(2);
    for _ in 0..10 {
        let (told, checkpoint) = watcher.until_checkpoint().await;
        assert!(told.is_empty());
        assert_eq!(checkpoint, first);
    }
}

async fn a_watcher_is_told_that_its_node_leaves(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut watchers = Vec::new();
    for _ in 0..3 {
        let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
        watcher.until_checkpoint().await;
        watchers.push(watcher);
    }
    let began = Instant::now();
    let ends = async {
        for watcher in &mut watchers {
            let end = watcher.end().await;
            assert_eq!((end.code, end.reason.as_str()), (Code::Unavailable, "NODE_LEAVING"));
            assert_eq!(end.retry_seconds, Some(1));
        }
    };
    tokio::join!(app.stop(), ends);
    // Nobody had to be cut off when the time was up.
    assert!(began.elapsed() < Duration::from_secs(2));
}

async fn there_are_only_so_many_watchers(backend: Backend) {
    let app = TestApp::with(backend, &[("revocation.watchers", "2")]).await;
    let first = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let _second = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let refused = details(&Watcher::begin(app.node(), &app.api_key, "").await.err().unwrap());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    drop(first);
    let began = Instant::now();
    while Watcher::begin(app.node(), &app.api_key, "").await.is_err() {
        assert!(began.elapsed() < PATIENCE, "a place is not free again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.stop().await;
}

async fn whoever_may_no_longer_call_is_told_nothing_more(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut admin = app.node().admin();
    let mut keys = Vec::new();
    for name in ["deleted", "rotated"] {
        let request = v1::CreateCallerRequest {
            name: name.to_owned(),
            permissions: vec![v1::Permission::Watch.into()],
            ..Default::default()
        };
        let created = admin.create_caller(bearer(request, &app.api_key)).await.unwrap().into_inner();
        keys.push((created.caller.unwrap().caller_id, created.api_key));
    }
    let mut watchers = Vec::new();
    for (_, key) in &keys {
        let mut watcher = Watcher::begin(app.node(), key, "").await.unwrap();
        watcher.until_checkpoint().await;
        watchers.push(watcher);
    }
    let mut other = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let request = v1::DeleteCallerRequest { caller_id: keys[0].0.clone() };
    admin.delete_caller(bearer(request, &app.api_key)).await.unwrap();
    let request = v1::RotateCallerKeyRequest { caller_id: keys[1].0.clone(), ..Default::default() };
    admin.rotate_caller_key(bearer(request, &app.api_key)).await.unwrap();
    for watcher in &mut watchers {
        let end = watcher.end().await;
        assert_eq!((end.code, end.reason.as_str()), (Code::Unauthenticated, "API_KEY_INVALID"));
    }
    other.until_checkpoint().await;
    other.until_checkpoint().await;
    app.stop().await;
}

/// Ends sessions by the thousand in the replica alone, as fast as a database would bring them after a long silence.
fn flood(app: &TestApp, count: usize) {
    use countersign::model::{Revocation, SessionId, Target};
    let now = app.now();
    let expires_at = now + chrono::TimeDelta::minutes(5);
    let revocations: Vec<_> = (0..count)
        .map(|_| {
            let target = Target::Session(SessionId(countersign::random::Random.id(now)));
            Revocation { target, revoked_at: now, expires_at }
        })
        .collect();
    app.node().app().revocations.apply(&revocations);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_cannot_keep_up_is_told_so_and_catches_up_by_the_cursor() {
    let app = TestApp::new(Backend::Embedded).await;
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let (_, checkpoint) = watcher.until_checkpoint().await;
    // More than fits into its row and what the other end lets through unread.
    flood(&app, 60_000);
    let end = watcher.end().await;
    assert_eq!((end.code, end.reason.as_str()), (Code::ResourceExhausted, "WATCHER_TOO_SLOW"));
    assert_eq!(end.retry_seconds, Some(1));

    let mut watcher = Watcher::begin(app.node(), &app.api_key, &checkpoint.cursor).await.unwrap();
    let (told, _) = watcher.until_checkpoint().await;
    assert_eq!(told.len(), 60_000);
    let told: BTreeSet<_> = told.iter().map(|event| format!("{event:?}")).collect();
    assert_eq!(told.len(), 60_000);

    // Of so many the first are forgotten.
    flood(&app, 20_000);
    let refused = Watcher::begin(app.node(), &app.api_key, &checkpoint.cursor).await.err().unwrap();
    assert_eq!(details(&refused).reason, "CURSOR_TOO_OLD");
    let mut watcher = Watcher::begin(app.node(), &app.api_key, "").await.unwrap();
    let (told, _) = watcher.until_checkpoint().await;
    assert_eq!(told.len(), 80_001, "its beginning and all of them");
    app.stop().await;
}

/// The memory that a process has, in MiB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() / 1_024
}

async fn watch_on(channel: &Channel, key: &str) -> Watcher {
    let request = v1::WatchRevocationsRequest { cursor: String::new(), heartbeat: Some(span(1_000)) };
    let mut tokens = v1::token_service_client::TokenServiceClient::new(channel.clone());
    Watcher(tokens.watch_revocations(bearer(request, key)).await.unwrap().into_inner())
}

/// Thousands who watch, most of whom take nothing in, cost a bounded amount of memory, and the others miss nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_watch_one_node() {
    let _storm = crate::harness::storm().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("watched.db").display());
    let settings = [("grpc.listen", "127.0.0.1:0"), ("http.listen", "127.0.0.1:0"), ("database.url", &database)];
    let program = Program::start(&settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let address = program.address().await;
    let key = program.api_key();
    let idle = memory(program.id());

    let (idlers, readers, each) = (figure(5_000, 1_000) - 20, 20, 500);
    let mut channels = Vec::new();
    for _ in 0..=idlers / each {
        channels.push(Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap());
    }
    let mut waiting = Vec::new();
    for at in 0..idlers {
        waiting.push(watch_on(&channels[at / each], &key).await);
    }
    let own = Endpoint::from_shared(address.clone()).unwrap().connect().await.unwrap();
    let mut watchers = Vec::new();
    for _ in 0..readers {
        let mut watcher = watch_on(&own, &key).await;
        watcher.until_checkpoint().await;
        watchers.push(watcher);
    }
    let mut tokens = v1::token_service_client::TokenServiceClient::new(own.clone());
    let count = figure(5_000, 500);
    let revoke = async {
        for _ in 0..count {
            let id = countersign::random::Random.id(chrono::DateTime::UNIX_EPOCH).to_string();
            let target = Some(v1::blacklist_request::Target::TokenId(id));
            let request = v1::BlacklistRequest { target, ..Default::default() };
            tokens.blacklist(bearer(request, &key)).await.unwrap();
        }
    };
    let reading = futures_util::future::join_all(watchers.iter_mut().map(async |watcher| {
        let mut heard = 0;
        while heard < count {
            heard += usize::from(matches!(watcher.next().await.unwrap(), Event::Revocation(_)));
        }
    }));
    tokio::join!(revoke, reading);
    let grown = memory(program.id()).saturating_sub(idle);
    eprintln!("{} watchers, {count} revocations: {grown} MiB more than at rest ({idle} MiB)", idlers + readers);
    // A stream, its place in the row, and what the other end's window lets through unread.
    assert!(grown <= 20 + (idlers + readers) as u64 * 16 / 1_024, "{grown} MiB");
    drop((waiting, watchers));
}
