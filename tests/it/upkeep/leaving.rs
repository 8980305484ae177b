//! The program's end, asked for by a signal.

use std::time::{Duration, Instant};

use countersign::proto::v1;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::store::Store;
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{Program, bearer, phone_number};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Longer than anything here takes, but for a defect.
const PATIENCE: Duration = Duration::from_secs(40);

fn program(own: &[(&str, &str)]) -> Program {
    let usual = [("grpc.listen", "127.0.0.1:0"), ("http.listen", "127.0.0.1:0"), ("grpc.workers", "2")];
    let settings = usual.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Program::start(&settings.collect::<Vec<_>>())
}

async fn connect(program: &Program) -> Channel {
    Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap()
}

fn socket(address: &str) -> &str {
    address.trim_start_matches("http://")
}

/// A database with so many live revocations that a watcher who does not read gets stuck.
async fn many_revocations(folder: &tempfile::TempDir) -> String {
    let url = format!("sqlite:{}", folder.path().join("many.db").display());
    let store = Store::connect(&url, 1).await.unwrap();
    store.migrate().await.unwrap();
    let Store::Sqlite(pool) = &store else { panic!("{store:?}") };
    let rows = "INSERT INTO revocations (kind, target, revoked_at, expires_at, reason)
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT 'token', randomblob(16), '2026-01-01T00:00:00+00:00', '2999-01-01T00:00:00+00:00', 'revoked' FROM n";
    sqlx::query(AssertSqlSafe(rows)).execute(pool).await.unwrap();
    store.close().await;
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_merely_has_a_connection_does_not_delay_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let url = many_revocations(&folder).await;
    let program = program(&[("grpc.drain", "30s"), ("database.url", &url)]);
    let channel = connect(&program).await;
    let (grpc, http) = (program.address().await, program.http_address());

    // A watcher who takes in nothing after the first message.
    let request = bearer(v1::WatchRevocationsRequest::default(), &program.api_key());
    let mut watch = TokenServiceClient::new(channel).watch_revocations(request).await.unwrap().into_inner();
    watch.next().await.unwrap().unwrap();
    // Clients that say nothing, that say nothing more, and that do not even take in what they are told.
    let mut open = Vec::new();
    for address in [&grpc, &http] {
        for said in [&b""[..], PREFACE, b"GET /hea"] {
            let mut stream = TcpStream::connect(socket(address)).await.unwrap();
            stream.write_all(said).await.unwrap();
            open.push(stream);
        }
    }
    let mut kept_alive = TcpStream::connect(socket(&http)).await.unwrap();
    kept_alive.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    kept_alive.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");

    program.signal("TERM");
    let asked_at = Instant::now();
    let (code, log) = program.end(PATIENCE).await;
    let took = asked_at.elapsed();
    eprintln!("end beside a stuck watcher and {} silent connections: {took:?}", open.len() + 1);
    assert_eq!(code, Some(0), "{log}");
    assert!(took < Duration::from_secs(10), "{took:?}: {log}");
    assert!(!log.contains("when the time was up"), "{log}");
    drop((watch, open, kept_alive));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves_says_so_before_it_closes_its_doors() {
    let program = program(&[("grpc.drain", "20s"), ("grpc.drain_delay", "3s")]);
    let channel = connect(&program).await;
    let (grpc, http) = (program.address().await, program.http_address());
    let health = async |channel: &Channel| {
        let request = HealthCheckRequest { service: String::new() };
        HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner().status()
    };
    assert_eq!(health(&channel).await, ServingStatus::Serving);
    assert_eq!(reqwest::get(format!("{http}/readyz")).await.unwrap().status(), 200);

    program.signal("TERM");
    let asked_at = Instant::now();
    while health(&channel).await == ServingStatus::Serving {
        assert!(asked_at.elapsed() < Duration::from_secs(2), "it does not say that it leaves");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Both ports take connections still, and say that others should be asked; those that come all the same are served.
    assert_eq!(reqwest::get(format!("{http}/readyz")).await.unwrap().status(), 503);
    assert_eq!(reqwest::get(format!("{http}/healthz")).await.unwrap().status(), 200);
    let late = Endpoint::from_shared(grpc.clone()).unwrap().connect().await.unwrap();
    TokenServiceClient::new(late.clone()).get_jwks(v1::GetJwksRequest {}).await.unwrap();
    assert!(asked_at.elapsed() < Duration::from_secs(3), "this machine is too slow to tell");
    drop((late, channel));
    let (code, log) = program.end(PATIENCE).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(asked_at.elapsed() >= Duration::from_secs(3));
    TcpStream::connect(socket(&grpc)).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_is_sent_before_the_end() {
    let program = program(&[]);
    let mut auth = AuthServiceClient::new(connect(&program).await);
    let mut promised = Vec::new();
    for last in 0..5 {
        let identifier = Some(phone_number(&format!("0912345678{last}")));
        let request = v1::RequestOtpRequest { identifier, ..Default::default() };
        promised.push(auth.request_otp(request).await.unwrap().into_inner().challenge.unwrap().challenge_id);
    }
    program.signal("TERM");
    let (code, log) = program.end(PATIENCE).await;
    assert_eq!(code, Some(0), "{log}");
    for challenge in promised {
        assert!(log.contains(&challenge), "{challenge} was not sent: {log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_looks_at_files_again_and_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "the-first-key-of-more-than-24-bytes").unwrap();
    let path = file.display().to_string();
    let program = program(&[("jobs.http_key_file", &path), ("secrets.reload_every", "1d")]);
    program.address().await;
    let http = program.http_address();
    std::fs::write(&file, "another-key-of-more-than-24-bytes").unwrap();
    program.signal("HUP");
    let ask = async |key: &str| {
        let request = reqwest::Client::new().post(format!("{http}/jobs/rotate-keys"));
        request.header("authorization", format!("Bearer {key}")).send().await.unwrap().status()
    };
    let asked_at = Instant::now();
    while ask("another-key-of-more-than-24-bytes").await != 200 {
        assert!(asked_at.elapsed() < Duration::from_secs(20), "{}", program.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    program.signal("TERM");
    assert_eq!(program.end(PATIENCE).await.0, Some(0));
}
