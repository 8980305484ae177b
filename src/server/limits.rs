//! What a connection may do, on both ports: every limit of HTTP/1.1 and HTTP/2, set one by one. The libraries below switch some of
//! the safe values off, or choose others with another release, where nothing is said. `docs/limits.md` has the reasons.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

/// How long a connection may take until its first request is there, and over HTTP/1.1 until each further one is.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// How long nothing may leave because nobody takes it in.
pub(super) const UNREAD: Duration = Duration::from_secs(20);
/// How long calls go on that are under way on a connection that has to end.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How often a connection is looked at: whether it is too old, and whether what is sent over it is read.
pub(super) const LOOK: Duration = Duration::from_secs(5);
/// How many clients may shake hands at a time. Others wait, so that there must be room for many who say nothing until they
/// have had their time.
pub(super) const HANDSHAKES: usize = 8_192;

/// Bytes of metadata, before anybody looks at them.
const HEADERS: u32 = 16 * 1024;
/// How many headers a request over HTTP/1.1 may have, and what is read of it at once.
const HEADER_COUNT: usize = 100;
const HTTP1_BUFFER: usize = 64 * 1024;
/// Streams that were reset before they were looked at; more, and the connection is told to go away (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that we reset because of the peer's faults.
const LOCAL_RESETS: usize = 64;
/// Bytes that wait to be sent, for each stream.
const SEND_BUFFER: usize = 256 * 1024;

/// What differs between the ports.
struct Differing {
    /// Calls at a time.
    streams: u32,
    /// Flow control: what may be on its way to us.
    stream_window: u32,
    connection_window: u32,
    /// The largest frame. One is held until it is complete, whoever sends it.
    frame: u32,
    /// How often a silent peer is asked whether it is there.
    keepalive: Duration,
    /// How long it may take to say so.
    keepalive_answer: Duration,
}

/// gRPC. A batch that comes in one frame is read where it lies; and several batches may be on their way.
const GRPC: Differing = Differing {
    streams: 1_024,
    stream_window: 1024 * 1024,
    connection_window: 4 * 1024 * 1024,
    frame: 512 * 1024,
    keepalive: Duration::from_secs(30),
    keepalive_answer: Duration::from_secs(10),
};
/// HTTP. Forms are small, and most clients speak HTTP/1.1 anyway.
const HTTP: Differing = Differing {
    streams: 128,
    stream_window: 64 * 1024,
    connection_window: 512 * 1024,
    frame: 16 * 1024,
    keepalive: SILENCE,
    keepalive_answer: Duration::from_secs(5),
};

/// How the gRPC port speaks: HTTP/2, and HTTP/1.1 where browsers may come.
pub(super) fn grpc(web: bool) -> Builder<TokioExecutor> {
    let builder = Builder::new(TokioExecutor::new());
    limited(if web { builder } else { builder.http2_only() }, &GRPC)
}

/// How the HTTP port speaks.
pub(super) fn http() -> Builder<TokioExecutor> {
    limited(Builder::new(TokioExecutor::new()), &HTTP)
}

fn limited(mut builder: Builder<TokioExecutor>, own: &Differing) -> Builder<TokioExecutor> {
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .max_headers(HEADER_COUNT)
        .max_buf_size(HTTP1_BUFFER)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(own.streams)
        .max_header_list_size(HEADERS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .initial_stream_window_size(own.stream_window)
        .initial_connection_window_size(own.connection_window)
        .adaptive_window(false)
        .max_frame_size(own.frame)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(own.keepalive)
        .keep_alive_timeout(own.keepalive_answer);
    builder
}
