//! An identity provider that says yes to everybody, so that the demo can show what one is for. It speaks just enough HTTP for
//! the private server to ask it.

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const ANSWER: &str = r#"{"matched":true,"first_name":"Sara","last_name":"Ahmadi","alive":true}"#;
/// More than any question takes.
const LONGEST: u64 = 16 * 1024;

/// A provider that answers for as long as this is kept.
pub(super) struct StandIn {
    /// Where to ask it.
    pub url: String,
    answering: JoinHandle<()>,
}

impl StandIn {
    /// Starts it on a free port of this machine.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let answering = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Whoever asks and does not listen gets no answer; the next one does.
                let _ = answer(stream).await;
            }
        });
        Ok(Self { url, answering })
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

async fn answer(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut question = (&mut stream).take(LONGEST);
    let mut length = 0;
    loop {
        let mut line = String::new();
        question.read_line(&mut line).await?;
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = Vec::new();
    question.take(length).read_to_end(&mut body).await?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
    let answer = format!("{head}: {}\r\n\r\n{ANSWER}", ANSWER.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
