//! The yardstick: a bare tonic service that takes a message and answers with one of the size asked for. No layers, no
//! logging, no limits; tonic's defaults, but the HTTP/2 windows of the real server.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::task::{Context, Poll};
use std::{env, future};

use bytes::Bytes;
use prost::Message;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::Result;
use crate::child::{Process, under_test};

/// The first argument of a process that is an echo.
pub(crate) const ARGUMENT: &str = "--be-echo";

/// Flow-control windows, for a stream and for a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What the echo runs on. Both have the benchmark's allocator, which is that of the real server: that makes the default
/// runtime a little faster than it would be by default, and the comparison stricter.
#[derive(Clone, Copy)]
pub(crate) enum Runtime {
    /// As the real server: everything on one thread.
    CurrentThread,
    /// As `#[tokio::main]` gives it on one core.
    Default,
}

impl Runtime {
    fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::Default => "default",
        }
    }

    fn build(self) -> std::io::Result<tokio::runtime::Runtime> {
        match self {
            Self::CurrentThread => tokio::runtime::Builder::new_current_thread().enable_all().build(),
            Self::Default => tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build(),
        }
    }
}

/// Starts an echo in a process of its own, and waits until it listens. `answer` is the size of its messages.
pub(crate) fn start(core: usize, runtime: Runtime, answer: usize) -> Result<(Process, SocketAddr)> {
    let mut command = under_test(core, env::current_exe()?);
    command.args([ARGUMENT, runtime.name(), &answer.to_string()]).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let mut line = String::new();
    BufReader::new(process.stdout()?).read_line(&mut line)?;
    let address = line.trim().parse().map_err(|_| "the echo has not started")?;
    Ok((process, address))
}

/// Is the echo: prints its address, and serves for ever.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let runtime = match arguments.next().as_deref() {
        Some("current-thread") => Runtime::CurrentThread,
        _ => Runtime::Default,
    };
    let echo = Echo { answer: Payload::of_size(arguments.next().ok_or("the size of the answer is missing")?.parse()?) };
    runtime.build()?.block_on(async {
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
        writeln!(stdout(), "{}", incoming.local_addr()?)?;
        Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(echo)
            .serve_with_incoming(incoming)
            .await?;
        Ok(())
    })
}

/// Any message whose first field is a string or bytes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) content: Bytes,
}

impl Payload {
    /// A message that is encoded in so many bytes.
    pub(crate) fn of_size(size: usize) -> Self {
        let with = |length: usize| Self { content: vec![b'x'; length].into() };
        let overhead = with(size).encoded_len() - size;
        with(size.saturating_sub(overhead))
    }
}

#[derive(Clone)]
struct Echo {
    answer: Payload,
}

impl NamedService for Echo {
    // The name of the real one, so that both are sent the same bytes.
    const NAME: &'static str = "countersign.v1.TokenService";
}

// This is what tonic generates for a service with one method.
impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Answer(self.answer.clone());
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(method, request).await) })
    }
}

struct Answer(Payload);

impl Service<Request<Payload>> for Answer {
    type Response = Response<Payload>;
    type Error = Status;
    type Future = future::Ready<std::result::Result<Response<Payload>, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        future::ready(Ok(Response::new(self.0.clone())))
    }
}
