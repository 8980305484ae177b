//! Introspection over HTTP, for those who speak nothing else, beside an axum service that answers the same bytes to everybody.

use std::io::{BufRead, BufReader, Write, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::child::{Process, pinned};
use crate::figures::{Figure, Report};
use crate::rounds::{Plan, median, repeat};
use crate::server::Server;
use crate::{Result, people};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["http_introspect"];
/// The first argument of a process that is the bare service.
pub(crate) const ARGUMENT: &str = "--be-http-echo";

const CONNECTIONS: usize = 64;
const PEOPLE: usize = 1000;

/// Asks both in turn.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let server = Server::embedded(core).await?;
    let tokens = people::sign_in(&server, PEOPLE).await?;
    let key = server.api_key()?;
    let questions: Vec<Vec<u8>> = tokens.iter().map(|tokens| question(&key, &tokens.access_token)).collect();
    let mut first = Line::to(server.http).await?;
    let answer = first.ask(questions.first().ok_or("nobody has signed in")?).await?;
    if !answer.starts_with(b"{\"active\":true") {
        return Err("the token is not active".into());
    }
    let (_echo, echo) = start(core, answer.len())?;
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let seen = rate(server.http, &questions, answer.len() / 2, plan).await?;
        let bare = rate(echo, &questions, answer.len() / 2, plan).await?;
        rates.push(seen);
        ratios.push(seen / bare);
    }
    report.add(Figure::new("http_introspect", median(rates), "calls/s").ratio(median(ratios)));
    Ok(())
}

/// One request, on a connection that stays open.
fn question(key: &str, token: &str) -> Vec<u8> {
    let body = format!("token={token}");
    let head = format!(
        "POST /oauth2/introspect HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

async fn rate(to: SocketAddr, questions: &[Vec<u8>], at_least: usize, plan: Plan) -> Result<f64> {
    let mut lines = Vec::new();
    for number in 0..CONNECTIONS {
        lines.push((number * 7, Line::to(to).await?));
    }
    let (rate, _) = repeat(lines, plan.window, |(number, mut line): (usize, Line)| async move {
        let answer = line.ask(&questions[number % questions.len()]).await?;
        if answer.len() < at_least {
            return Err("an answer is too short".into());
        }
        Ok((number + 1, line))
    })
    .await?;
    Ok(rate)
}

/// A connection, and what has arrived on it.
struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    async fn to(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Asks, and reads the body of the answer.
    async fn ask(&mut self, question: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(question).await?;
        loop {
            if let Some((head, body)) = self.answer()? {
                let answer = self.buffer[head..head + body].to_vec();
                self.buffer.drain(..head + body);
                return Ok(answer);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the connection was closed".into());
            }
        }
    }

    /// The lengths of the head and the body, once all of it has arrived.
    fn answer(&self) -> Result<Option<(usize, usize)>> {
        let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        if !head.starts_with("HTTP/1.1 200") {
            return Err(format!("the answer is {head}").into());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.ok_or("the answer has no length")?.parse()?;
        Ok((self.buffer.len() >= end + 4 + length).then_some((end + 4, length)))
    }
}

/// Starts the bare service in a process of its own. It has two threads, as the real one has for HTTP.
fn start(core: usize, answer: usize) -> Result<(Process, SocketAddr)> {
    let mut command = pinned(core, std::env::current_exe()?);
    command.args([ARGUMENT, &answer.to_string()]).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let mut line = String::new();
    BufReader::new(process.stdout()?).read_line(&mut line)?;
    let address = line.trim().parse().map_err(|_| "the bare service has not started")?;
    Ok((process, address))
}

/// Is the bare service: prints its address, and serves for ever.
pub(crate) fn serve(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let size: usize = arguments.next().ok_or("the size of the answer is missing")?.parse()?;
    let answer = Bytes::from(vec![b'x'; size]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        writeln!(stdout(), "{}", listener.local_addr()?)?;
        let form = [("content-type", "application/json"), ("cache-control", "no-store")];
        let router = Router::new().route("/oauth2/introspect", post(move |_: Bytes| async move { (form, answer) }));
        axum::serve(listener, router).await?;
        Ok(())
    })
}
