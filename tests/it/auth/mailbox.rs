//! A receiver of webhooks that a test controls.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// A receiver: remembers each request when it arrives, and answers it when it may.
#[derive(Clone)]
pub(crate) struct Mailbox {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Delivery>>,
    answers: Semaphore,
    status: StatusCode,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Delivery {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Mailbox {
    /// One that answers with this status at once.
    pub(crate) async fn answering(status: StatusCode) -> Self {
        Self::start(status, Semaphore::MAX_PERMITS).await
    }

    /// One that takes requests in and answers none until [`Mailbox::let_go`].
    pub(crate) async fn silent() -> Self {
        Self::start(StatusCode::OK, 0).await
    }

    async fn start(status: StatusCode, answers: usize) -> Self {
        let state = Arc::new(Shared { received: Mutex::default(), answers: Semaphore::new(answers), status });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/codes", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/codes", post(receive)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Answers from now on.
    pub(crate) fn let_go(&self) {
        self.state.answers.add_permits(Semaphore::MAX_PERMITS >> 1);
    }

    /// What has arrived up to now.
    pub(crate) fn so_far(&self) -> Vec<Delivery> {
        self.state.received.lock().clone()
    }

    /// What has arrived once there is so much.
    pub(crate) async fn deliveries(&self, at_least: usize) -> Vec<Delivery> {
        for _ in 0..1_000 {
            let received = self.so_far();
            if received.len() >= at_least {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("fewer than {at_least} messages arrived");
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    shared.received.lock().push(Delivery { headers, body });
    let _answer = shared.answers.acquire().await;
    shared.status
}
