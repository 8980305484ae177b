//! What a reader makes of each event, without a stream.

use std::sync::atomic::AtomicBool;

use countersign_token::{AccessClaims, AccountId, Known, Remembered, SessionId, SigningPair, TokenId};
use tonic::transport::Endpoint;

use super::super::builder::WhenStale;
use super::super::keys::Keys;
use super::super::view::Revocations;
use super::*;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::random;

const START: i64 = 1_900_000_000;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(START + seconds, 0).unwrap()
}

fn timestamp(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: START + seconds, nanos: 0 }
}

fn core() -> Core {
    let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
    Core {
        connection: Connection::over(channel, Duration::from_secs(1)),
        clock: Clock::manual(at(0)),
        issuer: "issuer".to_owned(),
        audience: "audience".to_owned(),
        leeway_seconds: 2,
        bound: TimeDelta::seconds(5),
        when_stale: WhenStale::Refuse,
        heartbeat: Duration::from_secs(1),
        remembered: Remembered::new(10),
        keys: Keys::new(Duration::from_secs(30), Duration::from_hours(1)),
        revocations: Revocations::default(),
        barred: AtomicBool::new(false),
    }
}

fn checkpoint(cursor: &str, seconds: i64) -> Event {
    Event::Checkpoint(v1::Checkpoint { cursor: cursor.to_owned(), as_of: Some(timestamp(seconds)) })
}

fn begin() -> Event {
    Event::SnapshotBegin(v1::SnapshotBegin {})
}

fn session_ended(session: SessionId) -> Event {
    let target = Some(revocation::Target::SessionId(session.to_string()));
    Event::Revocation(v1::Revocation { target, revoked_at: None, expires_at: Some(timestamp(600)) })
}

fn session() -> SessionId {
    SessionId(random::request_id(at(0)).unwrap())
}

/// A token of a session, read as any token is.
fn token_of(session: SessionId) -> std::sync::Arc<Known<()>> {
    let pair = SigningPair::generate(countersign_token::Algorithm::EdDsa).unwrap();
    let claims = AccessClaims {
        iss: "issuer".to_owned(),
        sub: AccountId(random::request_id(at(0)).unwrap()),
        aud: vec!["audience".to_owned()],
        exp: START + 300,
        iat: START,
        nbf: START,
        jti: TokenId(random::request_id(at(0)).unwrap()),
        sid: Some(session),
        client_id: String::new(),
        scope: String::new(),
        roles: Vec::new(),
        amr: Vec::new(),
        auth_time: None,
        anon: false,
        device_id: None,
        username: None,
        extra: serde_json::Map::new(),
    };
    let token = pair.sign(countersign_token::ACCESS_TOKEN_TYPE, &claims.to_json()).unwrap();
    let keys = countersign_token::KeySet::new([pair.public().clone()]).unwrap();
    Remembered::new(1).read(&token, &keys).unwrap()
}

fn is_revoked(core: &Core, session: SessionId) -> bool {
    core.revocations.view().covers(&token_of(session), core.clock.now())
}

#[tokio::test]
async fn a_snapshot_counts_from_its_checkpoint_on() {
    let (core, mut reader) = (core(), Reader::default());
    let (first, second) = (session(), session());
    assert_eq!(reader.take(&core, begin()).unwrap(), Told::Part);
    assert_eq!(reader.take(&core, session_ended(first)).unwrap(), Told::Part);
    assert!(!is_revoked(&core, first));
    assert!(core.revocations.view().age(&core.clock) > core.bound);
    assert_eq!(reader.take(&core, checkpoint("a", 0)).unwrap(), Told::Checkpoint);
    assert!(is_revoked(&core, first));
    assert_eq!(core.revocations.view().age(&core.clock), TimeDelta::zero());
    assert_eq!(reader.cursor.as_deref(), Some("a"));

    assert_eq!(reader.take(&core, session_ended(second)).unwrap(), Told::Other);
    assert!(is_revoked(&core, second));
    assert_eq!(reader.cursor.as_deref(), Some("a"), "only a checkpoint moves it");
}

#[tokio::test]
async fn a_second_snapshot_replaces_the_first_and_does_not_undo_it_meanwhile() {
    let (core, mut reader) = (core(), Reader::default());
    let (forgotten, kept) = (session(), session());
    for event in [begin(), session_ended(forgotten), session_ended(kept), checkpoint("a", 0), begin()] {
        reader.take(&core, event).unwrap();
    }
    assert!(is_revoked(&core, forgotten) && is_revoked(&core, kept));
    reader.take(&core, session_ended(kept)).unwrap();
    reader.take(&core, checkpoint("b", 1)).unwrap();
    assert!(!is_revoked(&core, forgotten) && is_revoked(&core, kept));
    assert_eq!(core.revocations.view().len(), 1);
}

#[tokio::test]
async fn a_node_that_lags_behind_takes_nothing_back() {
    let (core, mut reader) = (core(), Reader::default());
    let refused = session();
    for event in [begin(), session_ended(refused), checkpoint("a", 0), begin(), checkpoint("b", -2)] {
        reader.take(&core, event).unwrap();
    }
    assert!(is_revoked(&core, refused), "the other node has not heard of it yet");
    assert_eq!((reader.cursor.as_deref(), core.revocations.view().as_of()), (Some("a"), at(0)));
    // What it learns meanwhile counts at once, and its next checkpoint has caught up.
    let news = session();
    reader.take(&core, session_ended(news)).unwrap();
    assert!(is_revoked(&core, news));
    reader.take(&core, session_ended(refused)).unwrap();
    reader.take(&core, checkpoint("c", 0)).unwrap();
    assert!(is_revoked(&core, refused) && is_revoked(&core, news));
    assert_eq!(reader.cursor.as_deref(), Some("c"));
}

#[tokio::test]
async fn what_is_too_old_to_be_trusted_is_not_waited_for() {
    let (core, mut reader) = (core(), Reader::default());
    for event in [begin(), checkpoint("a", 0)] {
        reader.take(&core, event).unwrap();
    }
    // The database was put back by ten seconds: no checkpoint reaches what was promised before.
    core.clock.advance(TimeDelta::seconds(6));
    for event in [begin(), checkpoint("b", -4)] {
        reader.take(&core, event).unwrap();
    }
    assert_eq!((reader.cursor.as_deref(), core.revocations.view().as_of()), (Some("b"), at(-4)));
    assert!(core.revocations.view().age(&core.clock) > core.bound);
}

#[tokio::test]
async fn a_fast_clocks_cursor_is_not_kept() {
    let (core, mut reader) = (core(), Reader::default());
    for (as_of, kept) in [(0, true), (5, true), (6, false), (3_600, false)] {
        for event in [begin(), checkpoint("a", as_of)] {
            reader.take(&core, event).unwrap();
        }
        assert_eq!(reader.cursor.is_some(), kept, "{as_of} s ahead");
    }
    // Nor is one from before: the next stream begins with a snapshot, and goes on from there.
    for event in [begin(), checkpoint("b", 1)] {
        reader.take(&core, event).unwrap();
    }
    assert_eq!((reader.cursor.as_deref(), core.revocations.view().as_of()), (Some("b"), at(1)));
}

#[tokio::test]
async fn what_cannot_be_read_ends_the_stream() {
    let (core, mut reader) = (core(), Reader::default());
    let target = |target| v1::Revocation { target, revoked_at: Some(timestamp(0)), expires_at: Some(timestamp(600)) };
    let account = revocation::Target::AccountId(session().to_string());
    let unreadable = [
        Event::Revocation(target(None)),
        Event::Revocation(target(Some(revocation::Target::TokenId("x".to_owned())))),
        Event::Revocation(v1::Revocation { expires_at: None, ..target(Some(account.clone())) }),
        Event::Revocation(v1::Revocation { revoked_at: None, ..target(Some(account)) }),
        Event::Checkpoint(v1::Checkpoint { cursor: "a".to_owned(), as_of: None }),
    ];
    for event in unreadable {
        assert_eq!(reader.take(&core, event.clone()).unwrap_err().code(), Code::DataLoss, "{event:?}");
    }
    assert_eq!((reader.cursor, core.revocations.view().len()), (None, 0));
}

#[tokio::test]
async fn what_has_expired_is_forgotten_by_both_clocks() {
    let (core, mut reader) = (core(), Reader::default());
    for event in [begin(), session_ended(session()), checkpoint("a", 0)] {
        reader.take(&core, event).unwrap();
    }
    core.clock.set_forward(TimeDelta::hours(1));
    core.revocations.view().forget_expired(&core.clock);
    assert_eq!(core.revocations.view().len(), 1, "the service has not said that it is so late");
    reader.take(&core, checkpoint("b", 3_600)).unwrap();
    core.revocations.view().forget_expired(&core.clock);
    assert_eq!(core.revocations.view().len(), 0);
}
