//! An app that stays signed in: whatever is lost on the way, and whatever ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use countersign::proto::v1 as server;
use countersign_client::proto::v1;
use countersign_client::proto::v1::account_service_client::AccountServiceClient;
use countersign_client::{
    Clock, FileStore, MemoryStore, Resumed, Session, SessionBuilder, SessionEnded, SessionError, Stored, TokenStore,
    reason,
};
use futures_util::future::join_all;
use tower::Layer;

use super::{PATIENCE, clock_of, connect};
use crate::harness::database::{events_about, number};
use crate::harness::{Backend, Person, TestApp, Wire, bearer, figure, on_both_backends};
use crate::session::{log_out, newcomer, refresh, session_of};

on_both_backends!(
    however_many_ask_there_is_one_exchange,
    r2_lost_answers_sign_no_app_out,
    a_crash_before_the_answer_signs_nobody_out,
    without_the_service_an_app_waits_and_goes_on,
    three_answers_end_a_session_and_no_other_does,
    what_cannot_be_kept_is_not_sent,
    a_sign_in_that_cannot_be_kept_is_given_back,
    signing_out_survives_a_lost_answer,
    calls_carry_a_token_that_lives,
);

/// What a sign-in brings.
fn tokens(person: &Person) -> v1::Tokens {
    v1::Tokens {
        access_token: person.access_token.clone(),
        refresh_token: person.refresh_token.clone(),
        expires_in: 300,
        token_type: "Bearer".to_owned(),
        ..Default::default()
    }
}

fn builder(address: std::net::SocketAddr, store: impl TokenStore, clock: &Clock) -> SessionBuilder {
    let connection = countersign_client::Connection::to(format!("http://{address}"))
        .connect_timeout(Duration::from_millis(500))
        .call_timeout(Duration::from_secs(5))
        .connect()
        .unwrap();
    Session::builder(connection, store).clock(clock.clone())
}

/// The session that is in the store.
async fn resumed(builder: SessionBuilder) -> Session {
    match builder.resume().await.unwrap() {
        Resumed::Session(session) => session,
        Resumed::Nothing(_) => panic!("nothing was kept"),
    }
}

async fn generation(app: &TestApp, person: &Person) -> i64 {
    let session = session_of(app, &person.access_token);
    number(&app.node().app().store, "SELECT generation FROM sessions WHERE id = $1", &[session.0]).await
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !condition().await {
        assert!(began.elapsed() < PATIENCE, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn however_many_ask_there_is_one_exchange(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let clock = clock_of(&app);
    let session = builder(app.node().grpc, MemoryStore::default(), &clock).begin(tokens(&person)).await.unwrap();
    for round in 1..=figure(50, 5) {
        // All but a second of its life is over.
        clock.advance(TimeDelta::seconds(299));
        let asked = join_all((0..100).map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.access_token().await })
        }));
        let all: Vec<_> = asked.await.into_iter().map(|token| token.unwrap().unwrap()).collect();
        assert!(all.iter().all(|token| *token == all[0]) && all[0].as_str() != person.access_token);
        assert!(app.is_active(all[0].as_str()).await);
        assert_eq!(generation(&app, &person).await, 1 + i64::try_from(round).unwrap());
        assert_eq!(session.access_token().await.unwrap(), all[0]);
    }

    // Where its end is merely near, the present one is given, and the next is fetched meanwhile.
    let (present, before) = (session.access_token().await.unwrap(), generation(&app, &person).await);
    clock.advance(TimeDelta::seconds(241));
    assert_eq!(session.access_token().await.unwrap(), present);
    until("fetched ahead of time", async || session.access_token().await.unwrap() != present).await;
    assert_eq!(generation(&app, &person).await, before + 1);

    // A service has refused it: whoever says so gets another, and nobody a third.
    let refused = session.access_token().await.unwrap();
    let (one, two) = tokio::join!(session.renew(&refused), session.renew(&refused));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(generation(&app, &person).await, before + 2);
    app.stop().await;
}

async fn r2_lost_answers_sign_no_app_out(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let person = newcomer(&app).await;
    let clock = clock_of(&app);
    let session = builder(wire.address, MemoryStore::default(), &clock).begin(tokens(&person)).await.unwrap();
    let rounds = figure(1_000, 100);
    let (mut logouts, mut forks, mut lost_after_commit) = (0, 0, 0);
    for round in 0..rounds {
        let before = generation(&app, &person).await;
        clock.advance(TimeDelta::seconds(299));
        let waiting = tokio::spawn({
            let session = session.clone();
            async move { session.access_token().await }
        });
        if round % 2 == 0 {
            wire.lose_answers();
            until("committed", async || generation(&app, &person).await > before).await;
            lost_after_commit += 1;
        } else {
            tokio::time::sleep(Duration::from_micros(u64::try_from(round % 40).unwrap() * 50)).await;
            wire.cut();
        }
        // Long after: the name of the exchange is what counts, not the grace.
        app.advance(if round % 4 < 2 { 31 } else { 0 });
        wire.mend();
        match waiting.await.unwrap() {
            Ok(token) => {
                forks += usize::from(generation(&app, &person).await != before + 1);
                assert!(app.node().app().access.known(token.as_str()).is_ok());
            }
            Err(error) => {
                eprintln!("{error}");
                logouts += 1;
                break;
            }
        }
    }
    eprintln!(
        "R2: an app, {rounds} cut connections, {lost_after_commit} after the commit, {logouts} logouts, {forks} forks"
    );
    assert_eq!((logouts, forks), (0, 0));
    let id = session_of(&app, &person.access_token);
    assert_eq!(events_about(&app.node().app().store, id, "session.refresh_token_reused").await, 0);
    app.stop().await;
}

async fn a_crash_before_the_answer_signs_nobody_out(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let person = newcomer(&app).await;
    let clock = clock_of(&app);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.json");
    let session = builder(wire.address, FileStore::open(&path).unwrap(), &clock).begin(tokens(&person)).await.unwrap();
    drop(session);

    let crashes = figure(20, 4);
    for crash in 0..crashes {
        let before = generation(&app, &person).await;
        clock.advance(TimeDelta::seconds(299));
        wire.lose_answers();
        // A process of its own, as far as that can be had: nothing of what runs in it goes on.
        let process = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        process.spawn({
            let (path, clock, address) = (path.clone(), clock.clone(), wire.address);
            async move {
                let store = FileStore::open(path).unwrap();
                let session = resumed(builder(address, store, &clock)).await;
                session.access_token().await
            }
        });
        until("committed", async || generation(&app, &person).await > before).await;
        process.shutdown_background();
        // Every other time the crash is long over.
        app.advance(if crash % 2 == 0 { 60 } else { 0 });
        wire.mend();

        until("the file is free", async || FileStore::open(&path).is_ok()).await;
        let store = FileStore::open(&path).unwrap();
        assert!(store.load().unwrap().unwrap().pending.is_some());
        let session = resumed(builder(wire.address, store, &clock)).await;
        let token = session.access_token().await.unwrap();
        assert!(app.node().app().access.known(token.as_str()).is_ok());
        assert_eq!(generation(&app, &person).await, before + 1);
    }
    eprintln!("{crashes} crashes between the commit and the answer: 0 logouts, 0 forks");
    let id = session_of(&app, &person.access_token);
    assert_eq!(events_about(&app.node().app().store, id, "session.refresh_token_reused").await, 0);
    app.stop().await;
}

async fn without_the_service_an_app_waits_and_goes_on(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let person = newcomer(&app).await;
    let clock = clock_of(&app);
    let builder = builder(wire.address, MemoryStore::default(), &clock).patience(Duration::from_millis(300));
    let session = builder.begin(tokens(&person)).await.unwrap();
    wire.cut();
    // A token that lives is good until it ends.
    clock.advance(TimeDelta::seconds(299));
    assert_eq!(session.access_token().await.unwrap().as_str(), person.access_token);
    clock.advance(TimeDelta::seconds(1));
    let began = Instant::now();
    let error = session.access_token().await.unwrap_err();
    assert!(matches!(error, SessionError::Unavailable(_)), "{error}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(session.ended(), None);
    wire.mend();
    let token = session.access_token().await.unwrap();
    assert!(app.is_active(token.as_str()).await);
    app.stop().await;
}

async fn three_answers_end_a_session_and_no_other_does(backend: Backend) {
    let app = TestApp::new(backend).await;
    let clock = clock_of(&app);
    let begin = async |person: &Person| {
        let store = Kept::default();
        let session = builder(app.node().grpc, store.clone(), &clock).begin(tokens(person)).await.unwrap();
        (session, store)
    };
    let ends = async |session: &Session, store: &Kept, why: SessionEnded| {
        assert!(store.0.load().unwrap().is_some());
        clock.advance(TimeDelta::seconds(299));
        let error = session.access_token().await.unwrap_err();
        assert!(matches!(error, SessionError::Ended(ended) if ended == why), "{error}");
        assert_eq!((session.ended(), store.0.load().unwrap()), (Some(why), None));
    };
    let person = newcomer(&app).await;
    let (session, store) = begin(&person).await;
    log_out(&app, &person.access_token).await;
    ends(&session, &store, SessionEnded::Ended).await;

    // Somebody else has used the token, twice.
    let person = newcomer(&app).await;
    let (session, store) = begin(&person).await;
    let next = refresh(&app, &person.refresh_token).await.unwrap();
    refresh(&app, &next.refresh_token).await.unwrap();
    ends(&session, &store, SessionEnded::TokenReused).await;

    let mut person = newcomer(&app).await;
    person.refresh_token = "csr_nothing".to_owned();
    let (session, store) = begin(&person).await;
    ends(&session, &store, SessionEnded::TokenInvalid).await;

    // A wrong API key is no reason to sign anybody out.
    let person = newcomer(&app).await;
    let store = Kept::default();
    let connection = connect(app.node().grpc, "csk_wrong");
    let session =
        Session::builder(connection, store.clone()).clock(clock.clone()).begin(tokens(&person)).await.unwrap();
    clock.advance(TimeDelta::seconds(300));
    let error = session.access_token().await.unwrap_err();
    assert!(matches!(&error, SessionError::Refused(status) if reason(status).is_some()), "{error}");
    assert_eq!(session.ended(), None);
    assert!(store.0.load().unwrap().unwrap().pending.is_some());
    app.stop().await;
}

/// A store that a test looks into. Each bit says of one time that something is saved, the lowest first, whether it fails.
#[derive(Clone, Default)]
struct Kept(Arc<MemoryStore>, Arc<AtomicUsize>);

impl TokenStore for Kept {
    fn load(&self) -> std::io::Result<Option<Stored>> {
        self.0.load()
    }

    fn save(&self, stored: &Stored) -> std::io::Result<()> {
        let failures = self.1.load(Ordering::SeqCst);
        self.1.store(failures >> 1, Ordering::SeqCst);
        if failures % 2 == 1 {
            return Err(std::io::Error::other("the disk is full"));
        }
        self.0.save(stored)
    }

    fn clear(&self) -> std::io::Result<()> {
        self.0.clear()
    }
}

async fn what_cannot_be_kept_is_not_sent(backend: Backend) {
    let app = TestApp::new(backend).await;
    let clock = clock_of(&app);
    let person = newcomer(&app).await;
    let store = Kept::default();
    let session = builder(app.node().grpc, store.clone(), &clock).begin(tokens(&person)).await.unwrap();
    let before = generation(&app, &person).await;
    clock.advance(TimeDelta::seconds(300));
    store.1.store(0b1, Ordering::SeqCst);
    let error = session.access_token().await.unwrap_err();
    assert!(matches!(error, SessionError::Store(_)), "{error}");
    assert_eq!(generation(&app, &person).await, before);

    // Now the name of the exchange can be kept, but the new pair cannot: what is kept still leads to it.
    store.1.store(0b10, Ordering::SeqCst);
    session.access_token().await.unwrap();
    assert_eq!(generation(&app, &person).await, before + 1);
    let kept = store.0.load().unwrap().unwrap();
    assert!(kept.refresh_token == person.refresh_token && kept.pending.is_some());
    drop(session);
    app.advance(60);
    let session = resumed(builder(app.node().grpc, store.clone(), &clock)).await;
    let token = session.access_token().await.unwrap();
    assert_eq!(generation(&app, &person).await, before + 1);
    assert!(app.is_active(token.as_str()).await);
    app.stop().await;
}

async fn a_sign_in_that_cannot_be_kept_is_given_back(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let (first, second) = (newcomer(&app).await, newcomer(&app).await);
    let store = Kept::default();
    let Resumed::Nothing(empty) = builder(wire.address, store.clone(), &clock).resume().await.unwrap() else {
        panic!("there is nothing yet")
    };
    drop(empty.begin(tokens(&first)).await.unwrap());

    store.1.store(0b1, Ordering::SeqCst);
    wire.cut();
    let beginning = tokio::spawn(builder(wire.address, store.clone(), &clock).begin(tokens(&second)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(app.is_active(&second.access_token).await);
    wire.mend();
    let error = beginning.await.unwrap().unwrap_err();
    assert!(matches!(error, SessionError::Store(_)), "{error}");
    assert!(!app.is_active(&second.access_token).await);
    refresh(&app, &second.refresh_token).await.unwrap_err();
    // What was kept before is still there, and counts.
    let token = resumed(builder(wire.address, store, &clock)).await.access_token().await.unwrap();
    assert_eq!(token.as_str(), first.access_token);
    assert!(app.is_active(&first.access_token).await);
    app.stop().await;
}

async fn signing_out_survives_a_lost_answer(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wire = Wire::to(app.node().grpc).await;
    let clock = clock_of(&app);
    let person = newcomer(&app).await;
    let store = Kept::default();
    let session = builder(wire.address, store.clone(), &clock).begin(tokens(&person)).await.unwrap();
    wire.cut();
    let leaving = tokio::spawn({
        let session = session.clone();
        async move { session.sign_out().await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(app.is_active(&person.access_token).await);
    wire.mend();
    leaving.await.unwrap().unwrap();
    assert!(!app.is_active(&person.access_token).await);
    assert_eq!((session.ended(), store.0.load().unwrap()), (Some(SessionEnded::SignedOut), None));
    session.sign_out().await.unwrap();
    let error = session.access_token().await.unwrap_err();
    assert!(matches!(error, SessionError::Ended(SessionEnded::SignedOut)));
    let request = server::RefreshRequest { refresh_token: person.refresh_token, ..Default::default() };
    app.node().tokens().refresh(request).await.unwrap_err();
    app.stop().await;
}

async fn calls_carry_a_token_that_lives(backend: Backend) {
    let app = TestApp::new(backend).await;
    let clock = clock_of(&app);
    let person = newcomer(&app).await;
    let session = builder(app.node().grpc, MemoryStore::default(), &clock).begin(tokens(&person)).await.unwrap();
    let mut accounts = AccountServiceClient::new(session.attach().layer(app.node().channel.clone()));
    let mut who = async || {
        let answer = accounts.get_profile(v1::GetProfileRequest {}).await?;
        Ok::<_, tonic::Status>(answer.into_inner().account.unwrap().account_id)
    };
    assert_eq!(who().await.unwrap(), person.account_id);
    // The token's life is over for both, and the next is fetched on the way.
    super::advance(&app, &clock, 303);
    app.node().accounts().get_profile(bearer(server::GetProfileRequest {}, &person.access_token)).await.unwrap_err();
    assert_eq!(who().await.unwrap(), person.account_id);
    session.sign_out().await.unwrap();
    let error = who().await.unwrap_err();
    assert_eq!((error.code(), reason(&error)), (tonic::Code::Unauthenticated, Some(v1::ErrorReason::SessionEnded)));
    app.stop().await;
}
