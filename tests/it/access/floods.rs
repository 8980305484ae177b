//! Floods on one connection: it is told to go away, and everybody else goes on.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Backend, TestApp, figure, on_both_backends};

on_both_backends!(rapid_resets_are_told_to_go_away, refusals_do_not_use_a_connection_up);

const RESETS: u32 = 20_000;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;
const DATA: u8 = 0;
/// Why a connection is told to go away when it asks too much (RFC 9113 §7).
const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call, in HPACK without compression (RFC 7541 §6.2.2).
fn headers(path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [
        vec![0x83, 0x86, 0x04],
        text(path),
        vec![0x01],
        text("localhost"),
        vec![0x0f, 0x10],
        text("application/grpc"),
        vec![0x00],
        text("te"),
        text("trailers"),
    ]
    .concat()
}

/// CVE-2023-44487: streams that are opened and reset faster than they can be looked at.
async fn rapid_resets_are_told_to_go_away(backend: Backend) {
    let app = TestApp::new(backend).await;
    let token = app.sign_in("09121234567").await.access_token;
    let stream = TcpStream::connect(app.node().grpc).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let block = headers("/countersign.v1.TokenService/GetJwks");
    let flood = tokio::spawn(async move {
        writing.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        writing.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        let mut sent = 0;
        for call in 0..RESETS {
            let stream = 2 * call + 1;
            let opened = frame(HEADERS, END_HEADERS, stream, &block);
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
        let mut head = [0; 9];
        while reading.read_exact(&mut head).await.is_ok() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            if reading.read_exact(&mut payload).await.is_err() {
                break;
            }
            if head[3] == GOAWAY {
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
    // The others, on the same worker, are served.
    assert!(app.is_active(&token).await);
    app.stop().await;
}

/// A gateway's calls share a connection; those that are refused must not end it for the others, also where what they send
/// arrives in pieces.
async fn refusals_do_not_use_a_connection_up(backend: Backend) {
    let app = TestApp::new(backend).await;
    let mut stream = TcpStream::connect(app.node().grpc).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
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

/// A message whose end does not come takes up a stream for a while, and not for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_does_not_end_is_given_up() {
    let app = TestApp::new(Backend::Embedded).await;
    let mut stream = TcpStream::connect(app.node().grpc).await.unwrap();
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut block = headers("/countersign.v1.TokenService/Introspect");
    block.extend([vec![0x00], text("x-api-key"), text(&app.api_key)].concat());
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
    // Four of the ten bytes that are announced.
    stream.write_all(&frame(DATA, 0, 1, b"\0\0\0\0\x0aabcd")).await.unwrap();
    let began = Instant::now();
    let answered = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == HEADERS {
                // Nothing but trailers: the call has failed.
                break assert_eq!(head[4] & END_STREAM, END_STREAM);
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answered).await.expect("the call is still open");
    assert!(began.elapsed() >= Duration::from_secs(9), "{:?}", began.elapsed());
    app.stop().await;
}
