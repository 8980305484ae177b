//! A connection, in plain text or in TLS, that is given up where nothing comes over it or nothing is taken in.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};
use tokio_rustls::server::TlsStream;

use super::admission::Admitted;
use super::limits::{SILENCE, UNREAD};
use super::tls::{self, Port, Tls};
use crate::model::CertificateName;

/// A stream on the event loop that it is served on.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// None once the client has begun to speak.
    silence: Option<Silence>,
    /// There while nothing leaves: until when that may be so.
    unread: Option<Pin<Box<Sleep>>>,
    _admitted: Admitted,
}

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// The names in its certificate.
    pub(super) names: Arc<[CertificateName]>,
    /// When that expires.
    pub(super) expires_at: Option<Instant>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The time until a client has said as much as HTTP/2 begins with (RFC 9113 §3.4). Only after that is it asked now and then
/// whether it is there.
#[derive(Debug)]
struct Silence {
    until: Pin<Box<Sleep>>,
    missing: usize,
}

impl Silence {
    const PREFACE: usize = 24;

    fn begin() -> Self {
        Self { until: Box::pin(sleep(SILENCE)), missing: Self::PREFACE }
    }
}

impl Connection {
    /// Takes a stream over. Where there is TLS, the hands are shaken first; who does not get through that is none.
    pub(super) async fn open(
        port: Port,
        stream: TcpStream,
        admitted: Admitted,
        tls: Option<&Tls>,
    ) -> io::Result<Option<(Self, Peer)>> {
        // Answers are small; waiting to fill a segment would only delay them.
        stream.set_nodelay(true)?;
        let address = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let mut peer = Peer { address: address.to_canonical(), names: Arc::default(), expires_at: None };
        let stream = match tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let Some(stream) = tls.accept(port, stream).await else { return Ok(None) };
                peer.names = tls::client_names(stream.get_ref().1);
                peer.expires_at = tls::client_expiry(stream.get_ref().1).map(|left| Instant::now() + left);
                Stream::Tls(Box::new(stream))
            }
        };
        // Over HTTP/1.1 a request may be shorter than what HTTP/2 begins with.
        let silence = matches!(port, Port::Grpc).then(Silence::begin);
        Ok(Some((Self { stream, silence, unread: None, _admitted: admitted }, peer)))
    }

    /// The same for what is written: in TLS it may only have been put by, and has left once it is flushed.
    fn unless_kept(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() && matches!(self.stream, Stream::Tls(_)) {
            return written;
        }
        self.unless_unread(context, written)
    }

    /// Gives up where nothing has left for too long. What is written waits for the peer alone.
    fn unless_unread<T>(&mut self, context: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.unread = None;
            return done;
        }
        let until = self.unread.get_or_insert_with(|| Box::pin(sleep(UNREAD)));
        until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

macro_rules! on_stream {
    ($self:ident, $stream:ident => $work:expr) => {
        match &mut $self.as_mut().get_mut().stream {
            Stream::Plain(plain) => {
                let $stream = Pin::new(plain);
                $work
            }
            Stream::Tls(tls) => {
                let $stream = Pin::new(tls.as_mut());
                $work
            }
        }
    };
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = on_stream!(self, stream => stream.poll_read(context, buffer));
        let Some(silence) = &mut self.silence else { return polled };
        if polled.is_pending() {
            return silence.until.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        silence.missing = silence.missing.saturating_sub(buffer.filled().len() - before);
        if silence.missing == 0 {
            self.silence = None;
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = on_stream!(self, stream => stream.poll_write(context, bytes));
        self.unless_kept(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = on_stream!(self, stream => stream.poll_write_vectored(context, slices));
        self.unless_kept(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(plain) => plain.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = on_stream!(self, stream => stream.poll_flush(context));
        self.unless_unread(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = on_stream!(self, stream => stream.poll_shutdown(context));
        self.unless_unread(context, shut)
    }
}
