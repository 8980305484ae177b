//! Floods on one connection: it is told to go away, and everybody else goes on.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING, RST_STREAM, frame, get,
    headers, headers_with, open, read,
};
use super::program::{Place, Server};
use crate::harness::{Backend, TestApp, figure, on_both_backends};

on_both_backends!(rapid_resets_are_told_to_go_away, refusals_do_not_use_a_connection_up);

const RESETS: u32 = 20_000;
/// CVE-2023-44487: streams that are opened and reset faster than they can be looked at.
async fn rapid_resets_are_told_to_go_away(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = app.sign_in("09121234567").await.access_token;
    let ports = [
        (app.node().grpc, headers("/countersign.v1.TokenService/GetJwks"), END_HEADERS),
        (app.node().http, get("/.well-known/jwks.json"), END_HEADERS | END_STREAM),
    ];
    for (address, block, flags) in ports {
        resets_are_told_to_go_away(address, block, flags).await;
        // The others, on the same worker, are served.
        assert!(app.is_active(&token).await);
    }
    app.stop().await;
}

async fn resets_are_told_to_go_away(address: SocketAddr, block: Vec<u8>, flags: u8) {
    let (mut reading, mut writing) = open(address).await.into_split();
    let flood = tokio::spawn(async move {
        let mut sent = 0;
        for call in 0..RESETS {
            let stream = 2 * call + 1;
            let opened = frame(HEADERS, flags, stream, &block);
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            if writing.write_all(&[opened, reset].concat()).await.is_err() {
                break;
            }
            sent += 1;
        }
        // It stays open, so that only the server can have ended it.
        (sent, writing)
    });
    // How far the server got is told by the last stream that it names (RFC 9113 §6.8).
    let mut looked_at = None;
    let read = async {
        while let Some((kind, _, _, payload)) = read(&mut reading).await {
            if kind == GOAWAY {
                let last = u32::from_be_bytes(payload[..4].try_into().unwrap());
                let reason = u32::from_be_bytes(payload[4..8].try_into().unwrap());
                looked_at = Some((last.div_ceil(2), reason));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("the connection is closed");
    let (calls, reason) = looked_at.expect("the server says that it goes away");
    assert!(calls <= 65, "{calls} calls were looked at");
    assert_eq!(reason, ENHANCE_YOUR_CALM);
    let (sent, _writing) = flood.await.unwrap();
    assert!(sent > 65);
    eprintln!("N1: {sent} resets sent to {address}, {calls} calls looked at");
}

/// A gateway's calls share a connection; those that are refused must not end it for the others, also where what they send
/// arrives in pieces.
async fn refusals_do_not_use_a_connection_up(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut stream = open(app.node().grpc).await;
    let block = headers("/countersign.v1.AccountService/GetProfile");
    for call in 0..500 {
        let id = 2 * call + 1;
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &block)).await.unwrap();
        // Long enough for the headers to be looked at alone.
        tokio::time::sleep(Duration::from_millis(1)).await;
        stream.write_all(&frame(DATA, END_STREAM, id, &[0; 5])).await.unwrap();
    }
    stream.write_all(&frame(PING, 0, 0, b"are you?")).await.unwrap();
    let answered = async {
        let mut head = [0; 9];
        let mut ended = 0;
        loop {
            stream.read_exact(&mut head).await.expect("the connection stays open");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            match head[3] {
                GOAWAY | RST_STREAM => panic!("{head:?} {payload:?} after {ended} calls"),
                HEADERS if head[4] & END_STREAM != 0 => ended += 1,
                _ => {}
            }
            if ended == 500 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answered).await.expect("every call is answered");
    drop(stream);
    app.stop().await;
}

/// N4: whoever connects and says nothing, or too little, is closed in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_silent_connections_are_closed() {
    let app = TestApp::new(Backend::Embedded).await;
    let count = figure(5_000, 200);
    let began = Instant::now();
    let mut silent = Vec::new();
    for number in 0..count {
        let mut stream = TcpStream::connect(app.node().grpc).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"PRI * HTTP/2.0").await.unwrap();
        }
        silent.push(stream);
    }
    app.sign_in("09121234567").await;
    let answered = began.elapsed();
    for mut stream in silent {
        let mut heard = Vec::new();
        // Its settings come, and then nothing more.
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut heard)).await;
        read.expect("a silent connection stays open").ok();
    }
    let closed = began.elapsed();
    eprintln!(
        "N4: {count} silent connections to the gRPC port; others answered by {answered:?}, all closed by {closed:?}"
    );
    assert!(closed < Duration::from_secs(20));
    app.stop().await;
}

/// A message whose end does not come takes up a stream for a while, and not for ever, whatever it is meant for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_end_is_given_up() {
    let app = TestApp::new(Backend::Embedded).await;
    let mut stream = open(app.node().grpc).await;
    let paths = [
        "/countersign.v1.TokenService/Introspect",
        "/envoy.service.auth.v3.Authorization/Check",
        "/countersign.v1.TokenService/Verify",
        "/countersign.v1.TokenService/Refresh",
        "/countersign.v1.AuthService/Login",
        "/countersign.v1.AdminService/ListCallers",
    ];
    for (call, path) in paths.iter().enumerate() {
        let id = u32::try_from(2 * call + 1).unwrap();
        let block = headers_with(path, &[("x-api-key", &app.api_key)]);
        stream.write_all(&frame(HEADERS, END_HEADERS, id, &block)).await.unwrap();
        // Four of the ten bytes that are announced.
        stream.write_all(&frame(DATA, 0, id, b"\0\0\0\0\x0aabcd")).await.unwrap();
    }
    let began = Instant::now();
    let answered = async {
        let mut ended = Vec::new();
        while ended.len() < paths.len() {
            let (kind, flags, id, _) = read(&mut stream).await.unwrap();
            if kind == HEADERS {
                // Nothing but trailers: the call has failed.
                assert_eq!(flags & END_STREAM, END_STREAM, "{id}");
                assert!(began.elapsed() >= Duration::from_secs(9), "{id} {:?}", began.elapsed());
                ended.push(id);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("a call is still open");
    app.stop().await;
}

/// N2: headers that go on and on, and data that is none. Whoever sends them is sent away or gains nothing, and the program does not
/// grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n2_frames_without_end_take_no_memory() {
    let place = Place::new();
    let server = place.serve();
    let each = Duration::from_secs(figure(60, 2) as u64);
    let grpc = headers("/countersign.v1.TokenService/GetJwks");
    // One connection first, so that what each port needs anyway is there.
    for (address, block) in [(server.grpc(), &grpc), (server.http(), &get("/healthz"))] {
        let begin = frame(HEADERS, END_HEADERS, 1, block);
        flood(address, Duration::from_millis(200), &begin, &frame(PING, 0, 0, &[0; 8])).await;
    }
    let before = resident(&server);
    // From here on the most is kept that it ever has.
    std::fs::write(format!("/proc/{}/clear_refs", server.id()), "5").unwrap();
    for (port, address, block) in [("gRPC", server.grpc(), grpc), ("HTTP", server.http(), get("/healthz"))] {
        let mut most = before;
        for (what, begin, go_on) in [
            // A header of a kilobyte in each, never the last.
            (
                "CONTINUATION",
                frame(HEADERS, 0, 1, &block),
                frame(CONTINUATION, 0, 1, &[&[0x00, 1, b'a', 127, 0xf9, 0x07][..], &[b'b'; 1144]].concat()),
            ),
            ("empty CONTINUATION", frame(HEADERS, 0, 1, &block), frame(CONTINUATION, 0, 1, &[])),
            ("empty DATA", frame(HEADERS, END_HEADERS, 1, &block), frame(DATA, 0, 1, &[])),
        ] {
            let sent = flood(address, each, &begin, &go_on).await;
            let now = most_resident(&server);
            most = most.max(now);
            eprintln!("N2: {what} to the {port} port for {each:?}: {sent} frames, {now} KiB after {before}");
        }
        assert!(most <= before + 20 * 1024, "{port}: {before} KiB before, {most} KiB after");
        // Others are served all the while.
        server.tokens().await.get_jwks(countersign::proto::v1::GetJwksRequest::default()).await.unwrap();
    }
    server.terminate();
}

/// Sends frames for so long, on one connection after the other where they are closed; how many were taken.
async fn flood(address: SocketAddr, lasting: Duration, opening: &[u8], go_on: &[u8]) -> usize {
    let (began, mut sent) = (Instant::now(), 0);
    while began.elapsed() < lasting {
        let (mut reading, mut writing) = open(address).await.into_split();
        let reading = tokio::spawn(async move { while read(&mut reading).await.is_some() {} });
        let writes = async {
            writing.write_all(opening).await?;
            let many = go_on.repeat(64);
            while began.elapsed() < lasting && !reading.is_finished() {
                writing.write_all(&many).await?;
                sent += 64;
            }
            std::io::Result::Ok(())
        };
        // Where it is closed, another takes its place.
        let _ = tokio::time::timeout(lasting, writes).await;
        reading.abort();
    }
    sent
}

/// What a server has in memory, in KiB.
fn resident(server: &Server) -> u64 {
    memory(server, "VmRSS:")
}

/// The most that it had.
fn most_resident(server: &Server) -> u64 {
    memory(server, "VmHWM:")
}

fn memory(server: &Server, of: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(of)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// N3: a process that has run out of file descriptors serves those it has, and everybody again once there are some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n3_the_ports_survive_a_lack_of_descriptors() {
    const DESCRIPTORS: u32 = 64;
    let place = Place::new();
    let server = place.serve();
    let mut before = server.tokens().await;
    let id = server.id().to_string();
    let limited = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={DESCRIPTORS}")]).status();
    assert!(limited.unwrap().success());
    for address in [server.grpc(), server.http()] {
        let mut held = Vec::new();
        for _ in 0..200 {
            held.push(open(address).await);
        }
        let used = || std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
        let began = Instant::now();
        while used() < DESCRIPTORS as usize - 1 {
            assert!(began.elapsed() < Duration::from_secs(10), "{} descriptors are in use", used());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Long enough to fail again and again.
        tokio::time::sleep(Duration::from_millis(500)).await;
        before.get_jwks(countersign::proto::v1::GetJwksRequest::default()).await.unwrap();
        drop(held);
        let began = Instant::now();
        server.tokens().await.get_jwks(countersign::proto::v1::GetJwksRequest::default()).await.unwrap();
        let answer = reqwest::get(format!("http://{}/healthz", server.http())).await.unwrap();
        let recovered = began.elapsed();
        assert_eq!(answer.status(), 200);
        eprintln!("N3: {address} with {DESCRIPTORS} descriptors and 200 connections: serves again after {recovered:?}");
        assert!(recovered < Duration::from_secs(5));
    }
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.is_decent();
}
