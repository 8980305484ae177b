//! A connection that is counted for as long as it lives, in plain text or in TLS.

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::calls::farewell;
use super::tls::{self, Port, Tls};
use crate::rpc::{Calls, Link};
use crate::shutdown::Shutdown;

/// A stream on its worker's event loop.
pub(super) struct Connection {
    stream: Stream,
    link: Link,
    /// None once the client has begun to speak.
    silence: Option<Silence>,
    /// Over when the node leaves and this connection has nothing more to do for it.
    farewell: Pin<Box<dyn Future<Output = ()> + Send>>,
    _counted: Counted,
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
    const LONGEST: Duration = Duration::from_secs(10);
    const PREFACE: usize = 24;

    fn begin() -> Self {
        Self { until: Box::pin(tokio::time::sleep(Self::LONGEST)), missing: Self::PREFACE }
    }
}

/// One of the open connections.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Takes a stream over that `open` already counts. Where there is TLS, the hands are shaken first; who does not get through
    /// that is none.
    pub(super) async fn open(
        stream: std::net::TcpStream,
        open: Arc<AtomicUsize>,
        tls: Option<&Tls>,
        closing: Shutdown,
    ) -> io::Result<Option<Self>> {
        let counted = Counted(open);
        // Answers are small; waiting to fill a segment would only delay them.
        stream.set_nodelay(true)?;
        let stream = TcpStream::from_std(stream)?;
        let address = stream.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let calls = Calls::default();
        let farewell = Box::pin(farewell(closing, calls.clone()));
        let link = Link { address: address.to_canonical(), names: Arc::default(), calls };
        let Some(tls) = tls else {
            let silence = Some(Silence::begin());
            return Ok(Some(Self { stream: Stream::Plain(stream), link, silence, farewell, _counted: counted }));
        };
        Ok(tls.accept(Port::Grpc, stream).await.map(|stream| Self {
            link: Link { names: tls::client_names(stream.get_ref().1), ..link },
            stream: Stream::Tls(Box::new(stream)),
            silence: Some(Silence::begin()),
            farewell,
            _counted: counted,
        }))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, link, silence, .. } = self;
        f.debug_struct("Connection").field("stream", stream).field("link", link).field("silence", silence).finish()
    }
}

impl Connection {
    /// What waits for the peer waits no longer than this connection has.
    fn or_over<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.farewell.as_mut().poll(context).is_ready() {
            // It may be asked again; there is nothing to wait for then either.
            self.farewell = Box::pin(std::future::ready(()));
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl Connected for Connection {
    type ConnectInfo = Link;

    fn connect_info(&self) -> Link {
        self.link.clone()
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
        let polled = self.or_over(context, polled);
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
        let polled = on_stream!(self, stream => stream.poll_write(context, bytes));
        self.or_over(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = on_stream!(self, stream => stream.poll_write_vectored(context, slices));
        self.or_over(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(plain) => plain.is_write_vectored(),
            Stream::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = on_stream!(self, stream => stream.poll_flush(context));
        self.or_over(context, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = on_stream!(self, stream => stream.poll_shutdown(context));
        self.or_over(context, polled)
    }
}
