//! A provider that a test controls: an HTTP server that remembers what it was asked and answers what it was told to.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// What it does with a request.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Answers.
    With(u16, String),
    /// Answers once it is told to.
    When(Arc<Notify>, u16, String),
    /// Takes longer than anybody waits.
    Never,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    /// A field of the form that was filled in.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let url = format!("http://form/?{}", String::from_utf8(self.body.to_vec()).unwrap());
        let url = reqwest::Url::parse(&url).unwrap();
        url.query_pairs().find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
    }
}

/// The server.
pub(super) struct Provider {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    asked: Mutex<Vec<Asked>>,
    answer: Mutex<Answer>,
}

impl Provider {
    pub(super) async fn answering(status: u16, body: &str) -> Self {
        Self::start(Answer::With(status, body.to_owned())).await
    }

    pub(super) async fn start(answer: Answer) -> Self {
        let state = Arc::new(Shared { asked: Mutex::default(), answer: Mutex::new(answer) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(receive).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// From now on it answers otherwise.
    pub(super) fn answer(&self, status: u16, body: &str) {
        *self.state.answer.lock() = Answer::With(status, body.to_owned());
    }

    /// What it was asked up to now.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().clone()
    }

    /// What it was asked, once it was asked so often.
    pub(super) async fn asked_so_often(&self, at_least: usize) -> Vec<Asked> {
        for _ in 0..3_000 {
            let asked = self.asked();
            if asked.len() >= at_least {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("asked only {} times", self.asked().len());
    }
}

async fn receive(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    shared.asked.lock().push(Asked { path: uri.path().to_owned(), headers, body });
    let answer = shared.answer.lock().clone();
    match answer {
        Answer::With(status, body) => (StatusCode::from_u16(status).unwrap(), body),
        Answer::When(told, status, body) => {
            told.notified().await;
            (StatusCode::from_u16(status).unwrap(), body)
        }
        Answer::Never => std::future::pending().await,
    }
}

/// An address where nobody listens.
pub(super) async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// What Kavenegar answers: an outcome, and the message where there is one.
pub(super) fn kavenegar(status: u16) -> String {
    let entries = r#"[{"messageid":8792343,"message":"x","status":5,"statustext":"x","sender":"10004346","receptor":"x","date":1356619709,"cost":120}]"#;
    let entries = if status == 200 { entries } else { "null" };
    format!(r#"{{"return":{{"status":{status},"message":"x"}},"entries":{entries}}}"#)
}

/// What Twilio answers to a message that it has taken, and to one that it refuses.
pub(super) fn twilio(error: Option<u32>) -> String {
    match error {
        None => r#"{"sid":"SM90c6fc909d8504d45ecdb3a3d5b3556e","status":"queued","error_code":null}"#.to_owned(),
        Some(code) => format!(r#"{{"code":{code},"message":"x","more_info":"x","status":400}}"#),
    }
}
