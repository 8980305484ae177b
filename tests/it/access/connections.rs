//! Connections: how many there may be, how old they may get, and what becomes of those over which nothing is read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign::proto::v1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, frame, headers_with, open, open_with, read};
use crate::harness::{Backend, TestApp, bearer, details};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whether a connection is closed at once.
async fn is_refused(address: SocketAddr) -> bool {
    let mut stream = open(address).await;
    let mut byte = [0];
    // Whoever is let in gets the server's settings.
    let read = tokio::time::timeout(Duration::from_secs(9), stream.read(&mut byte)).await.expect("nothing happens");
    !matches!(read, Ok(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_connection_than_there_may_be_is_closed_at_once() {
    // The test's own channel is one of them.
    let settings = [("load.grpc_connections", "4"), ("load.http_connections", "3")];
    let app = TestApp::with(Backend::Embedded, &settings).await;
    for address in [app.node().grpc, app.node().http] {
        let mut held = Vec::new();
        for _ in 0..3 {
            let mut stream = open(address).await;
            assert!(read(&mut stream).await.is_some());
            held.push(stream);
        }
        for _ in 0..20 {
            assert!(is_refused(address).await);
        }
        // Those that are open go on.
        app.node().tokens().get_jwks(v1::GetJwksRequest::default()).await.unwrap();
        drop(held);
        let began = Instant::now();
        while is_refused(address).await {
            assert!(began.elapsed() < PATIENCE, "no room comes back");
        }
    }
    let figures = app.node().app().metrics.render().unwrap();
    assert!(figures.contains("countersign_shed_total{reason=\"connections\"}"), "{figures}");
    assert!(figures.contains("countersign_connections{port=\"grpc\"}"), "{figures}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections() {
    let app = TestApp::with(Backend::Embedded, &[("load.connections_per_address", "2")]).await;
    let mut held = open(app.node().grpc).await;
    assert!(read(&mut held).await.is_some());
    assert!(is_refused(app.node().grpc).await);
    // Each port counts for itself.
    assert!(!is_refused(app.node().http).await);
    let figures = app.node().app().metrics.render().unwrap();
    assert!(figures.contains("countersign_shed_total{reason=\"connections_per_address\"} 1\n"), "{figures}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_is_told_to_go_away_and_its_calls_are_finished() {
    let app = TestApp::with(Backend::Embedded, &[("load.connection_age", "1s")]).await;
    let mut stream = open(app.node().grpc).await;
    // A call that is under way when the connection is old.
    let block = headers_with("/countersign.v1.TokenService/GetJwks", &[]);
    let (mut told_at, began) = (None, Instant::now());
    let mut answered = false;
    let conversation = async {
        let mut is_asked = false;
        loop {
            if !is_asked && began.elapsed() > Duration::from_millis(500) {
                is_asked = true;
                stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
            }
            let next = tokio::time::timeout(Duration::from_millis(600), read(&mut stream)).await;
            let Ok(next) = next else { continue };
            let Some((kind, flags, id, payload)) = next else { break };
            match kind {
                GOAWAY if told_at.is_none() => {
                    assert_eq!(&payload[4..8], [0; 4], "it is nobody's fault");
                    told_at = Some(began.elapsed());
                    stream.write_all(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
                }
                HEADERS if id == 1 && flags & END_STREAM == 0 => answered = true,
                // The server waits for the answer to its question before it says which calls it has taken (RFC 9113 §6.8).
                6 if flags == 0 => stream.write_all(&frame(6, 1, 0, &payload)).await.unwrap(),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, conversation).await.expect("the connection does not end");
    assert!(told_at.is_some(), "it was closed without a word");
    assert!(answered, "the call was not finished");
    // Clients notice nothing: they connect again.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        app.node().tokens().get_jwks(v1::GetJwksRequest::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.stop().await;
}

/// A watcher that lets nothing come: its window is empty from the start.
async fn watch_without_reading(app: &TestApp) -> TcpStream {
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let mut stream = open_with(app.node().grpc, &[0, 4, 0, 0, 0, 0]).await;
    let block = headers_with("/countersign.v1.TokenService/WatchRevocations", &[("x-api-key", &app.api_key)]);
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
    stream.write_all(&frame(DATA, END_STREAM, 1, &[0; 5])).await.unwrap();
    // Its headers, so that it watches.
    while read(&mut stream).await.unwrap().0 != HEADERS {}
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_reads_nothing_loses_its_place() {
    let app = TestApp::with(Backend::Embedded, &[("revocation.watchers", "1")]).await;
    let mut stuck = watch_without_reading(&app).await;
    let request = || bearer(v1::WatchRevocationsRequest::default(), &app.api_key);
    let refused = app.node().tokens().watch_revocations(request()).await.unwrap_err();
    assert_eq!(details(&refused).code, Code::ResourceExhausted);
    let mut told = false;
    let ends = async {
        while let Some((kind, flags, _, payload)) = read(&mut stuck).await {
            told |= kind == GOAWAY;
            if kind == PING && flags == 0 {
                // It is there, and reads nothing all the same. Where it is cut off just now, the next look tells.
                let _ = stuck.write_all(&frame(PING, 1, 0, &payload)).await;
            }
        }
    };
    let began = Instant::now();
    tokio::time::timeout(PATIENCE, ends).await.expect("the connection stays open");
    let ended = began.elapsed();
    eprintln!("a watcher that reads nothing is cut off after {ended:?}");
    // Sooner than those are who do not even say that they are there.
    assert!(ended < Duration::from_secs(28), "{ended:?}");
    assert!(told, "it was closed without a word");
    let began = Instant::now();
    while app.node().tokens().watch_revocations(request()).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "its place is still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_reads_nothing_does_not_hold_up_the_end() {
    let app = TestApp::with(Backend::Embedded, &[("grpc.drain", "60s")]).await;
    let _stuck = watch_without_reading(&app).await;
    let began = Instant::now();
    app.stop().await;
    let stopped = began.elapsed();
    eprintln!("with a watcher that reads nothing the node stops in {stopped:?}");
    assert!(stopped < Duration::from_secs(30), "{stopped:?}");
}

/// Whoever asks and asks and reads no answer fills the buffers between, and then time passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_over_which_nothing_is_read_ends() {
    let app = TestApp::new(Backend::Embedded).await;
    let mut stream = TcpStream::connect(app.node().http).await.unwrap();
    let questions = b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1_000);
    let began = Instant::now();
    let asking = async { while stream.write_all(&questions).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, asking).await.expect("the connection stays open");
    let ended = began.elapsed();
    eprintln!("a connection over which nothing is read ends after {ended:?}");
    assert!(ended >= Duration::from_secs(15), "{ended:?}");
    app.stop().await;
}
