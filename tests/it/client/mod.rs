//! The Rust client against the real service: what it says of tokens by itself, how soon it knows what was taken back, and
//! how an app stays signed in.

mod agreement;
mod contract;
mod freshness;
mod keys;
mod propagation;
mod protect;
mod session;
mod tls;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use countersign_client::{Clock, Connection, Require, Verifier, VerifierBuilder, WhenStale};

use crate::harness::TestApp;

/// Who issues tokens, and for whom, where nothing is configured.
const ISSUER: &str = "http://127.0.0.1:8080";
const AUDIENCE: &str = "countersign";
/// How long anything may take that ought to be there soon.
const PATIENCE: Duration = Duration::from_secs(10);

fn connect(address: SocketAddr, api_key: &str) -> Connection {
    Connection::to(format!("http://{address}"))
        .api_key(api_key)
        .connect_timeout(Duration::from_millis(500))
        .call_timeout(Duration::from_secs(2))
        .connect()
        .unwrap()
}

/// A clock that says what the service's does, and is moved by itself.
fn clock_of(app: &TestApp) -> Clock {
    Clock::manual(app.now())
}

fn builder(connection: Connection, clock: &Clock) -> VerifierBuilder {
    Verifier::builder(connection, ISSUER, AUDIENCE).heartbeat(Duration::from_millis(100)).clock(clock.clone())
}

/// A verifier that knows what the service does, and the clock that it goes by.
async fn verifier(app: &TestApp, when_stale: WhenStale) -> (Verifier, Clock) {
    let clock = clock_of(app);
    let verifier = builder(connect(app.node().grpc, &app.api_key), &clock).when_stale(when_stale).start();
    ready(&verifier).await;
    (verifier, clock)
}

async fn ready(verifier: &Verifier) {
    tokio::time::timeout(PATIENCE, verifier.ready()).await.expect("a verifier that never gets ready");
}

/// Lets time pass for the service and for the client.
fn advance(app: &TestApp, clock: &Clock, seconds: i64) {
    app.advance(seconds);
    clock.advance(chrono::TimeDelta::seconds(seconds));
}

/// Anybody whose token counts.
fn anybody() -> Require {
    Require::new().anonymous_allowed()
}

/// Waits until a verifier refuses a token, and tells how long that took.
async fn refused_after(verifier: &Verifier, token: &str) -> Duration {
    let began = Instant::now();
    while verifier.verify(token, &anybody()).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "it has not been heard of within five seconds");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    began.elapsed()
}
