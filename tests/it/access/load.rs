//! More than a node can do, and more than a caller may: what is turned away, how it is told, and that introspection goes on.

use std::time::{Duration, Instant};

use countersign::load::Class;
use countersign::proto::v1;
use countersign::store::Store;
use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PING, frame, headers_with, open, read};
use crate::harness::{Backend, Details, TestApp, bearer, details, figure, on_both_backends, storm};

on_both_backends!(
    f2_an_exhausted_pool_sheds_and_introspection_goes_on,
    urgent_calls_find_places_where_others_find_none,
    what_is_only_announced_takes_no_place,
);

/// All connections to the database but those that introspection stands on.
enum Exhausted {
    Postgres(#[expect(dead_code, reason = "held")] Vec<PoolConnection<Postgres>>),
    Sqlite(#[expect(dead_code, reason = "held")] PoolConnection<Sqlite>),
}

impl Exhausted {
    async fn of(app: &TestApp) -> Self {
        match &app.node().app().store {
            Store::Sqlite(pool) => Self::Sqlite(pool.acquire().await.unwrap()),
            Store::Postgres(pool) => {
                let mut all = Vec::new();
                for _ in 0..pool.options().get_max_connections() {
                    all.push(pool.acquire().await.unwrap());
                }
                Self::Postgres(all)
            }
        }
    }
}

fn refresh(app: &TestApp, token: &str) -> impl Future<Output = Result<(), Status>> + use<> {
    let request = v1::RefreshRequest { refresh_token: token.to_owned(), ..Default::default() };
    let mut tokens = app.node().tokens();
    async move { tokens.refresh(request).await.map(drop) }
}

/// Introspects one after the other until it is stopped; how long each took.
async fn introspects(app: &TestApp, token: &str, count: usize) -> Vec<Duration> {
    let mut spans = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        assert!(app.is_active(token).await);
        spans.push(began.elapsed());
    }
    spans.sort_unstable();
    spans
}

/// F2: ten times as many calls as there are places, none of which can be answered.
async fn f2_an_exhausted_pool_sheds_and_introspection_goes_on(backend: Backend) {
    const PLACES: usize = 32;
    let _alone = storm().await;
    let settings = [("load.calls", "32"), ("database.max_connections", "2")];
    let app = TestApp::with(backend, &settings).await;
    let person = app.sign_in("09121234567").await;
    let asked = figure(2_000, 300);
    let quiet = introspects(&app, &person.access_token, asked).await;
    let exhausted = Exhausted::of(&app).await;

    let mut calls = JoinSet::new();
    let began = Instant::now();
    for _ in 0..10 * PLACES {
        let call = refresh(&app, &person.refresh_token);
        calls.spawn(async move {
            let began = Instant::now();
            (call.await, began.elapsed())
        });
    }
    let loud = introspects(&app, &person.access_token, asked).await;
    let (mut shed, mut waited, mut longest) = (0, 0, Duration::ZERO);
    while let Some(call) = calls.join_next().await {
        let (outcome, took) = call.unwrap();
        longest = longest.max(took);
        let Details { code, reason, retry_seconds, .. } = details(&outcome.unwrap_err());
        assert!(retry_seconds.is_some_and(|seconds| (1..=2).contains(&seconds)), "{retry_seconds:?}");
        match (code, reason.as_str()) {
            (Code::ResourceExhausted, "OVERLOADED") => shed += 1,
            (Code::Unavailable, "DEPENDENCY_UNAVAILABLE") => waited += 1,
            other => panic!("{other:?}"),
        }
    }
    let all = began.elapsed();
    assert!(waited >= PLACES / 2, "{waited} were let in");
    // Some may have come when the first had given up.
    assert!(shed >= 10 * PLACES - 3 * PLACES, "{shed} of {} were turned away", 10 * PLACES);
    // A second to wait for a connection, and some for a busy machine.
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    let p99 = |spans: &[Duration]| spans[spans.len() * 99 / 100];
    let (quiet, loud) = (p99(&quiet), p99(&loud));
    assert!(loud < Duration::from_secs(1), "an introspection took {loud:?}");
    eprintln!(
        "F2: {backend:?}, {} calls for {PLACES} places and no connection: {shed} turned away, all answered in {all:?}, p99 of \
         introspection {loud:?} (before: {quiet:?}, {:.1} times)",
        10 * PLACES,
        loud.as_secs_f64() / quiet.as_secs_f64(),
    );
    let figures = metrics(&app).await;
    assert!(figures.contains(&format!("countersign_shed_total{{reason=\"calls\"}} {shed}\n")), "{figures}");
    assert!(figures.contains("countersign_calls_in_flight 0\n"), "{figures}");
    drop(exhausted);
    refresh(&app, &person.refresh_token).await.unwrap();
    app.stop().await;
}

async fn metrics(app: &TestApp) -> String {
    reqwest::get(format!("http://{}/metrics", app.node().http)).await.unwrap().text().await.unwrap()
}

async fn urgent_calls_find_places_where_others_find_none(backend: Backend) {
    let app = TestApp::with(backend, &[("load.calls", "8")]).await;
    let person = app.sign_in("09121234567").await;
    let list = || bearer(v1::ListAccountsRequest::default(), &app.api_key);
    let mut admin = app.node().admin();
    admin.list_accounts(list()).await.unwrap();
    let sign_in = |call: Result<(), Status>| call.map_err(|status| details(&status).reason);
    let mut auth = app.node().auth();
    let login = || v1::LoginRequest::default();
    let mut held = Vec::new();
    let mut take = |count: usize| {
        let load = &app.node().app().load;
        held.extend((0..count).map(|_| load.take_on(Class::Sessions).unwrap()));
    };
    take(2);
    let refused = details(&admin.list_accounts(list()).await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(sign_in(auth.login(login()).await.map(drop)), Err("INVALID_FIELD".to_owned()));
    take(4);
    assert_eq!(sign_in(auth.login(login()).await.map(drop)), Err("OVERLOADED".to_owned()));
    refresh(&app, "csr_none").await.unwrap_err();
    assert_eq!(details(&refresh(&app, "csr_none").await.unwrap_err()).reason, "REFRESH_TOKEN_INVALID");
    take(2);
    assert!(metrics(&app).await.contains("countersign_calls_in_flight 8\n"));
    assert_eq!(details(&refresh(&app, "csr_none").await.unwrap_err()).reason, "OVERLOADED");
    assert!(app.is_active(&person.access_token).await);
    let verify = v1::VerifyRequest { token: person.access_token.clone() };
    assert!(app.node().tokens().verify(verify).await.unwrap().into_inner().valid);
    // Revocation over HTTP is as urgent as over gRPC.
    let revoke = || {
        let request = reqwest::Client::new().post(format!("http://{}/oauth2/revoke", app.node().http));
        let form = request.header("content-type", "application/x-www-form-urlencoded").body("token=x");
        form.bearer_auth(&app.api_key).send()
    };
    assert_eq!(revoke().await.unwrap().status(), 503);
    drop(held);
    assert_eq!(revoke().await.unwrap().status(), 200);
    admin.list_accounts(list()).await.unwrap();
    app.stop().await;
}

/// Whoever sends headers and no message keeps nobody from theirs.
async fn what_is_only_announced_takes_no_place(backend: Backend) {
    let app = TestApp::with(backend, &[("load.calls", "8")]).await;
    let mut stream = open(app.node().grpc).await;
    for (id, path) in
        (1..).step_by(2).zip(["TokenService/Refresh", "AuthService/Login", "AdminService/ListAccounts"].repeat(20))
    {
        let block = headers_with(&format!("/countersign.v1.{path}"), &[("x-api-key", &app.api_key)]);
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &block)).await.unwrap();
    }
    // An answer to what comes after them says that they have been looked at.
    stream.write_all(&frame(PING, 0, 0, b"are you?")).await.unwrap();
    while read(&mut stream).await.expect("the connection stays open").0 != PING {}
    let person = app.sign_in("09121234567").await;
    refresh(&app, &person.refresh_token).await.unwrap();
    app.node().admin().list_accounts(bearer(v1::ListAccountsRequest::default(), &app.api_key)).await.unwrap();
    assert!(metrics(&app).await.contains("countersign_calls_in_flight 0\n"));
    // And what has come to its end does.
    let places: Vec<_> = (0..8).map(|_| app.node().app().load.take_on(Class::Sessions).unwrap()).collect();
    stream.write_all(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
    let answer = async {
        loop {
            let (kind, _, id, block) = read(&mut stream).await.expect("the connection stays open");
            if (kind, id) == (HEADERS, 1) {
                return block;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(5), answer).await.expect("it is answered at once");
    drop(places);
    app.stop().await;
}

fn limit(status: &Status) -> (Code, String, String) {
    let told = details(status);
    assert!(told.retry_seconds.is_some());
    let failure = status.get_error_details().quota_failure().cloned().unwrap();
    (told.code, told.reason, failure.violations[0].subject.clone())
}

fn exceeded(name: &str) -> (Code, String, String) {
    (Code::ResourceExhausted, "CALLER_LIMITED".to_owned(), name.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_has_so_many_calls_in_a_second() {
    let app = TestApp::with(Backend::Embedded, &[("callers.each", "development = 5/s")]).await;
    let person = app.sign_in("09121234567").await;
    for _ in 0..5 {
        assert!(app.is_active(&person.access_token).await);
    }
    let refused = app.ask(0, &person.access_token).await.unwrap_err();
    assert_eq!(limit(&refused), exceeded("calls_per_second"));
    // The same caller by another way.
    let ask = |path: &str| {
        let request = reqwest::Client::new().post(format!("http://{}{path}", app.node().http));
        let form = request.header("content-type", "application/x-www-form-urlencoded").body("token=x");
        form.header("x-api-key", &app.api_key).send()
    };
    for path in ["/oauth2/introspect", "/auth/check?optional=true", "/oauth2/revoke"] {
        let answer = ask(path).await.unwrap();
        assert_eq!(answer.status(), 429, "{path}");
        assert_eq!(answer.headers()["retry-after"], "1", "{path}");
    }
    // Whoever is nobody's caller is not counted, and the node is well.
    app.sign_in("09121234568").await;
    let health = tonic_health::pb::HealthCheckRequest::default();
    let mut client = tonic_health::pb::health_client::HealthClient::new(app.node().channel.clone());
    client.check(bearer(health, &app.api_key)).await.unwrap();
    app.advance(1);
    assert!(app.is_active(&person.access_token).await);
    assert_eq!(ask("/oauth2/introspect").await.unwrap().status(), 200);
    let counted = metrics(&app).await;
    assert!(counted.contains("countersign_caller_refusals_total{reason=\"calls_per_second\"} 4\n"), "{counted}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_has_so_many_calls_at_a_time() {
    let app = TestApp::with(Backend::Embedded, &[("callers.calls_at_once", "2")]).await;
    let person = app.sign_in("09121234567").await;
    let mut stream = open(app.node().grpc).await;
    for (id, path) in [(1, "countersign.v1.TokenService/Introspect"), (3, "envoy.service.auth.v3.Authorization/Check")]
    {
        let block = headers_with(&format!("/{path}"), &[("x-api-key", &app.api_key)]);
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &block)).await.unwrap();
    }
    let began = Instant::now();
    let refused = loop {
        match app.ask(0, &person.access_token).await {
            Err(refused) => break refused,
            Ok(_) => assert!(began.elapsed() < Duration::from_secs(8), "a third call is let through"),
        }
    };
    assert_eq!(limit(&refused), exceeded("calls_at_once"));
    // One of them ends, well or not.
    stream.write_all(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
    let began = Instant::now();
    while app.ask(0, &person.access_token).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(8), "no place comes back");
    }
    drop(stream);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_calls_without_a_caller() {
    let app = TestApp::with(Backend::Embedded, &[("callers.strangers_per_second", "3")]).await;
    let mut tokens: Vec<_> = (0..4).map(|_| app.node().tokens()).collect();
    let mut outcomes = Vec::new();
    for client in &mut tokens {
        outcomes.push(client.verify(v1::VerifyRequest { token: "x".to_owned() }).await);
    }
    assert!(outcomes[..3].iter().all(Result::is_ok));
    assert_eq!(limit(outcomes[3].as_ref().unwrap_err()), exceeded("strangers_per_second"));
    // Nor is anything free that is refused.
    let mut account = app.node().accounts();
    let refused = account.get_profile(bearer(v1::GetProfileRequest::default(), "x")).await.unwrap_err();
    assert_eq!(limit(&refused), exceeded("strangers_per_second"));
    let request = reqwest::Client::new().post(format!("http://{}/oauth2/introspect", app.node().http));
    assert_eq!(request.header("x-api-key", "csk_none").send().await.unwrap().status(), 429);
    // Callers are not strangers.
    assert!(!app.is_active("x").await);
    app.advance(1);
    app.node().tokens().verify(v1::VerifyRequest { token: "x".to_owned() }).await.unwrap();
    app.stop().await;
}
