//! The application behind a gateway: it answers with the headers that have reached it, and counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::exchange::Answer;

/// A running application.
pub(super) struct Upstream {
    pub address: SocketAddr,
    reached: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Upstream {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let reached = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&reached));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, reached, serving }
    }

    /// How many requests have reached it so far.
    pub(super) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(reached): State<Arc<AtomicUsize>>, request: Request) -> axum::Json<Value> {
    reached.fetch_add(1, Ordering::SeqCst);
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]));
    axum::Json(json!({ "reached": true, "headers": headers.collect::<Vec<_>>() }))
}

/// Every value under a name that has reached the application. Names are compared as careless frameworks do.
pub(super) fn values(answer: &Answer, name: &str) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let plain = |name: &str| name.to_ascii_lowercase().replace(|letter: char| !letter.is_ascii_alphanumeric(), "_");
    let body = answer.json();
    assert_eq!(body["reached"], true);
    let headers = body["headers"].as_array().unwrap().iter();
    let named = headers.filter(|header| plain(header[0].as_str().unwrap()) == plain(name));
    named.map(|header| header[1].as_str().unwrap().to_owned()).collect()
}
