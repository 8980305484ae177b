//! Frames of HTTP/2, one by one, for what no client would send.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const CONTINUATION: u8 = 9;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const END_STREAM: u8 = 1;
pub(super) const DATA: u8 = 0;
/// Why a connection is told to go away when it asks too much (RFC 9113 §7).
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame of HTTP/2 (RFC 9113 §4.1).
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a call, in HPACK without compression (RFC 7541 §6.2.2).
pub(super) fn headers(path: &str) -> Vec<u8> {
    headers_with(path, &[])
}

/// The same and some more.
pub(super) fn headers_with(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
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
        more.iter().flat_map(|(name, value)| [vec![0x00], text(name), text(value)].concat()).collect(),
    ]
    .concat()
}

/// The headers of a request for a page.
pub(super) fn get(path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x82, 0x86, 0x04], text(path), vec![0x01], text("localhost")].concat()
}

/// A connection on which HTTP/2 has begun.
pub(super) async fn open(address: SocketAddr) -> TcpStream {
    open_with(address, &[]).await
}

/// The same with settings of the client's (RFC 9113 §6.5).
pub(super) async fn open_with(address: SocketAddr, settings: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let beginning = [PREFACE, &frame(SETTINGS, 0, 0, settings)].concat();
    // Where it is closed already, whoever reads from it will notice.
    let _ = stream.write_all(&beginning).await;
    stream
}

/// The next frame: its kind, its flags, its stream and its payload; nothing once the connection has ended.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.ok()?;
    let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    Some((head[3], head[4], id, payload))
}
