//! A server that answers as Zibal documents its inquiries, knows one person, and can be told to answer otherwise.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const TOKEN: &str = "token-of-the-panel";
pub(crate) const FIRST_NAME: &str = "مریم";
pub(crate) const LAST_NAME: &str = "میرزاخانی";

/// What to answer instead of the truth.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This text with this status.
    Text(u16, String),
    /// A redirect to this address.
    Redirect(String),
    /// A body without end that is as long as it is said to be, or of which nobody says how long it is.
    Huge { is_announced: bool },
    /// Nothing, ever.
    Silence,
    /// A body that begins and goes on at a byte now and then.
    Trickle,
    /// Half of a body.
    Half,
}

/// One question that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Question {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

#[derive(Clone)]
pub(crate) struct Registry {
    pub url: String,
    state: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    questions: Mutex<Vec<Question>>,
    reply: Mutex<Option<Reply>>,
    /// How the path ends of those questions that get the reply.
    only: Mutex<&'static str>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Shared::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Answers so from now on; the truth again with nothing.
    pub(crate) fn reply(&self, reply: Option<Reply>) {
        *self.state.reply.lock() = reply;
    }

    /// Answers with this result from now on, as Zibal refuses.
    pub(crate) fn refuse(&self, result: i64) {
        let text = json!({ "result": result, "message": format!("خطا: {} {}", super::NATIONAL_ID, super::PHONE) });
        self.reply(Some(Reply::Text(400, text.to_string())));
    }

    /// Refuses this inquiry so from now on, and answers all others truly.
    pub(crate) fn refuse_only(&self, inquiry: &'static str, result: i64) {
        self.refuse(result);
        *self.state.only.lock() = inquiry;
    }

    /// Answers with this document and status 200 from now on.
    pub(crate) fn say(&self, document: &Value) {
        self.reply(Some(Reply::Text(200, document.to_string())));
    }

    /// What has been asked since the last time.
    pub(crate) fn questions(&self) -> Vec<Question> {
        std::mem::take(&mut *self.state.questions.lock())
    }
}

async fn answer(State(state): State<Arc<Shared>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let question = Question { path: uri.path().to_owned(), headers, body };
    state.questions.lock().push(question.clone());
    let only = *state.only.lock();
    let reply = state.reply.lock().clone().filter(|_| question.path.ends_with(only));
    match reply {
        None => truth(&question).into_response(),
        Some(Reply::Text(status, text)) => (StatusCode::from_u16(status).unwrap(), text).into_response(),
        Some(Reply::Redirect(url)) => (StatusCode::TEMPORARY_REDIRECT, [("location", url)]).into_response(),
        Some(Reply::Huge { is_announced: true }) => vec![b' '; 65 * 1024].into_response(),
        Some(Reply::Huge { is_announced: false }) => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 4096])));
            Body::from_stream(endless).into_response()
        }
        Some(Reply::Silence) => std::future::pending().await,
        Some(Reply::Trickle) => {
            let byte = |()| async {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                Some((Ok::<_, std::io::Error>(Bytes::from_static(b" ")), ()))
            };
            Body::from_stream(futures_util::stream::unfold((), byte)).into_response()
        }
        Some(Reply::Half) => {
            let half = [Ok(Bytes::from_static(b"{\"result\": 1, \"data\"")), Err(std::io::Error::other("cut"))];
            Body::from_stream(futures_util::stream::iter(half)).into_response()
        }
    }
}

fn truth(question: &Question) -> (StatusCode, axum::Json<Value>) {
    let refuse = |result: i64| (StatusCode::BAD_REQUEST, axum::Json(json!({ "result": result, "message": "خطا" })));
    let find = |data: Value| (StatusCode::OK, axum::Json(json!({ "result": 1, "message": "موفق", "data": data })));
    if question.headers.get("authorization").is_none_or(|token| token != &format!("Bearer {TOKEN}")) {
        return refuse(3);
    }
    let asked: Value = question.json();
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let is_known = text("nationalCode") == super::NATIONAL_ID;
    match question.path.as_str() {
        "/v1/facility/shahkarInquiry" if text("mobile").len() == 11 && text("mobile").starts_with("09") => {
            find(json!({ "matched": is_known && text("mobile") == "09121234567" }))
        }
        "/v1/facility/nationalIdentityInquiry" if text("birthDate").len() == 10 => {
            if is_known && text("birthDate") == super::BORN {
                find(json!({
                    "matched": true, "firstName": FIRST_NAME, "lastName": LAST_NAME, "fatherName": "احمد", "alive": false
                }))
            } else {
                find(json!({ "matched": false }))
            }
        }
        _ => refuse(6),
    }
}
