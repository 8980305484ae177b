//! An endpoint that a test controls: it keeps what arrives, and behaves or misbehaves as told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;

/// How to answer.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// With this status.
    Status(u16),
    /// With this status, after so long.
    Slowly(u16, Duration),
    /// With this status and `Retry-After`.
    RetryAfter(u16, &'static str),
    /// With a redirect to here.
    Redirect(String),
    /// With a body that does not end, and this status.
    Endless(u16),
    /// Never.
    Silence,
    /// By closing the connection.
    Closes,
}

/// One request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Arrived {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The kind of event it tells of.
    pub(crate) fn kind(&self) -> String {
        self.event()["type"].as_str().unwrap().trim_start_matches("countersign.v1.").to_owned()
    }

    /// Whether one of its signatures was made with this secret, as whoever gets it would check.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = [format!("{}.{}.", self.id(), self.header("webhook-timestamp")).as_bytes(), &self.body].concat();
        self.header("webhook-signature").split(' ').any(|signature| {
            let signature = STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
            hmac::verify(&key, &signed, &signature).is_ok()
        })
    }
}

#[derive(Clone)]
pub(crate) struct Listener {
    pub url: String,
    state: Arc<Shared>,
}

struct Shared {
    arrived: Mutex<Vec<Arrived>>,
    reply: Mutex<Reply>,
    /// How many requests wait for their answer now, and the most that ever did.
    in_hand: Mutex<(usize, usize)>,
}

/// A request that waits for its answer, until that has been made or whoever asked has gone.
struct InHand(Arc<Shared>);

impl InHand {
    fn take(state: &Arc<Shared>) -> Self {
        let mut in_hand = state.in_hand.lock();
        in_hand.0 += 1;
        in_hand.1 = in_hand.0.max(in_hand.1);
        Self(Arc::clone(state))
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.lock().0 -= 1;
    }
}

impl Listener {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Shared {
            arrived: Mutex::default(),
            reply: Mutex::new(Reply::Status(204)),
            in_hand: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Answers so from now on.
    pub(crate) fn reply(&self, reply: Reply) {
        *self.state.reply.lock() = reply;
    }

    /// What has arrived up to now.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.state.arrived.lock().clone()
    }

    /// How many requests waited for their answer at the same time, at most.
    pub(crate) fn most_in_hand(&self) -> usize {
        self.state.in_hand.lock().1
    }

    /// What has arrived, once it is so much.
    pub(crate) async fn arrived_at_least(&self, count: usize) -> Vec<Arrived> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let arrived = self.arrived();
            if arrived.len() >= count {
                return arrived;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let kinds: Vec<_> = self.arrived().iter().map(Arrived::kind).collect();
        panic!("fewer than {count} events arrived: {kinds:?}");
    }
}

async fn answer(State(state): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().to_owned();
    let _in_hand = InHand::take(&state);
    state.arrived.lock().push(Arrived { path, headers, body });
    let status = |status| StatusCode::from_u16(status).unwrap();
    let reply = state.reply.lock().clone();
    match reply {
        Reply::Status(code) => status(code).into_response(),
        Reply::Slowly(code, wait) => {
            tokio::time::sleep(wait).await;
            status(code).into_response()
        }
        Reply::RetryAfter(code, wait) => (status(code), [("retry-after", wait)]).into_response(),
        Reply::Redirect(url) => (StatusCode::TEMPORARY_REDIRECT, [("location", url)]).into_response(),
        Reply::Endless(code) => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65536])));
            (status(code), Body::from_stream(endless)).into_response()
        }
        Reply::Silence => std::future::pending().await,
        // The connection ends with the task that serves it.
        Reply::Closes => std::panic::resume_unwind(Box::new("closes")),
    }
}
