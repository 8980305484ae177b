//! A server that behaves as Nextcloud documents its API for users (OCS, version 2) and WebDAV, and can be told to misbehave.
//!
//! Users are those of its own database. A call of the API without `OCS-APIRequest` is refused, as is whoever is no
//! administrator; WebDAV acts as whoever signs in, on their own folders only, and only while they are enabled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(super) const ADMIN: &str = "countersign";
pub(super) const PASSWORD: &str = "an app password: of ours";

/// What to answer instead of doing what is asked.
#[derive(Clone, Debug)]
pub(super) enum Mood {
    /// This text with this status.
    Text(u16, String),
    /// Maintenance mode.
    Maintenance { retry_after: &'static str },
    /// A redirect to this address.
    Redirect(String),
    /// Nothing, ever.
    Silence,
    /// A body without end.
    Endless,
    /// Does what is asked, after so long.
    Slowly(Duration),
    /// Does what is asked, and cuts the connection in the middle of the answer.
    Loses,
    /// This code of the API, in its form.
    Code(u16, i64),
}

/// A user as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub enabled: bool,
    pub password: String,
    pub display_name: String,
    pub email: String,
    pub quota: String,
    pub groups: BTreeSet<String>,
    pub folders: BTreeSet<String>,
    pub last_login: i64,
}

/// One call that arrived.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub method: Method,
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    /// Method and path in a line.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[derive(Clone)]
pub(super) struct NextcloudServer {
    pub url: String,
    state: Arc<Shared>,
    serving: Arc<Mutex<Option<JoinHandle<()>>>>,
}

struct Shared {
    users: Mutex<BTreeMap<String, User>>,
    calls: Mutex<Vec<Call>>,
    mood: Mutex<Option<Mood>>,
    /// Which calls meet the mood: those whose line holds this.
    only: Mutex<String>,
    /// How often the mood is met before it passes.
    left: Mutex<usize>,
}

impl NextcloudServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/cloud", listener.local_addr().unwrap());
        let state = Arc::new(Shared {
            users: Mutex::default(),
            calls: Mutex::default(),
            mood: Mutex::default(),
            only: Mutex::default(),
            left: Mutex::new(usize::MAX),
        });
        let server = Self { url, state, serving: Arc::default() };
        server.serve(listener);
        server
    }

    fn serve(&self, listener: TcpListener) {
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&self.state));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *self.serving.lock() = Some(serving);
    }

    /// Takes the server off the network.
    pub(super) async fn leave(&self) {
        let serving = self.serving.lock().take().unwrap();
        serving.abort();
        let _ = serving.await;
        // Connections that are kept go on by themselves.
        self.mood(Some(Mood::Text(502, String::new())));
    }

    /// Puts it back where it was.
    pub(super) async fn come_back(&self) {
        let address = self.url.trim_start_matches("http://").trim_end_matches("/cloud").to_owned();
        self.serve(TcpListener::bind(address).await.unwrap());
        self.mood(None);
    }

    /// Behaves so from now on; as it should with nothing.
    pub(super) fn mood(&self, mood: Option<Mood>) {
        self.mood_for("", usize::MAX, mood);
    }

    /// Behaves so towards the next calls whose line holds a text.
    pub(super) fn mood_for(&self, only: &str, times: usize, mood: Option<Mood>) {
        *self.state.only.lock() = only.to_owned();
        *self.state.left.lock() = times;
        *self.state.mood.lock() = mood;
    }

    /// A user as they are now.
    pub(super) fn user(&self, id: &str) -> Option<User> {
        self.state.users.lock().get(id).cloned()
    }

    pub(super) fn users(&self) -> BTreeMap<String, User> {
        self.state.users.lock().clone()
    }

    /// Changes a user as an administrator, or the person, does there.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut User)) {
        change(self.state.users.lock().get_mut(id).unwrap());
    }

    pub(super) fn remove(&self, id: &str) {
        self.state.users.lock().remove(id).unwrap();
    }

    /// What has been called since the last time.
    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.state.calls.lock())
    }

    /// Waits until anything has been called since the last time.
    pub(super) async fn asked(&self) {
        for _ in 0..3_000 {
            if !self.calls().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody asks");
    }

    /// The same as lines, without calls that only look.
    pub(super) fn changes(&self) -> Vec<String> {
        self.calls().iter().filter(|call| call.method != Method::GET).map(Call::line).collect()
    }
}

impl Shared {
    fn mood_towards(&self, call: &Call) -> Option<Mood> {
        if !call.line().contains(self.only.lock().as_str()) {
            return None;
        }
        let mut left = self.left.lock();
        if *left == 0 {
            return None;
        }
        let mood = self.mood.lock().clone()?;
        *left -= 1;
        Some(mood)
    }
}

async fn answer(
    State(state): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call { method, path: uri.path().trim_start_matches("/cloud").to_owned(), headers, body };
    state.calls.lock().push(call.clone());
    let with_status = |status| StatusCode::from_u16(status).unwrap();
    match state.mood_towards(&call) {
        None => serve(&state, &call, uri.query().unwrap_or_default()),
        Some(Mood::Text(status, text)) => (with_status(status), text).into_response(),
        Some(Mood::Maintenance { retry_after }) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [("retry-after", retry_after), ("x-nextcloud-maintenance-mode", "1")],
            "<!DOCTYPE html><html><body>This instance is currently in maintenance mode</body></html>",
        )
            .into_response(),
        Some(Mood::Redirect(url)) => (StatusCode::FOUND, [("location", url)]).into_response(),
        Some(Mood::Silence) => std::future::pending().await,
        Some(Mood::Endless) => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 4096])));
            Body::from_stream(endless).into_response()
        }
        Some(Mood::Slowly(wait)) => {
            tokio::time::sleep(wait).await;
            serve(&state, &call, uri.query().unwrap_or_default())
        }
        Some(Mood::Loses) => {
            serve(&state, &call, uri.query().unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(5)).await;
            let half = [Ok(Bytes::from_static(b"{\"ocs\":")), Err(std::io::Error::other("cut"))];
            Body::from_stream(futures_util::stream::iter(half)).into_response()
        }
        Some(Mood::Code(status, code)) => (with_status(status), axum::Json(envelope(code, &json!([])))).into_response(),
    }
}

fn serve(state: &Shared, call: &Call, query: &str) -> Response {
    let segments: Vec<_> = call.path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
    let segments: Vec<_> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["ocs", "v2.php", "cloud", rest @ ..] => api(state, call, rest, query).into_response(),
        ["remote.php", "dav", "files", owner, path @ ..] => dav(state, call, owner, path).into_response(),
        _ => (StatusCode::NOT_FOUND, "<html>Page not found</html>").into_response(),
    }
}

fn credentials(call: &Call) -> Option<(String, String)> {
    let value = call.headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?.to_owned();
    let pair = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    pair.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn envelope(code: i64, data: &Value) -> Value {
    let is_fine = (200..300).contains(&code);
    json!({ "ocs": {
        "meta": { "status": if is_fine { "ok" } else { "failure" }, "statuscode": code, "message": "پیام برای مردم" },
        "data": data,
    } })
}

/// An answer of the API: the code in the body, and the status that version 2 makes of it.
fn said(code: i64, data: &Value) -> (StatusCode, axum::Json<Value>) {
    let status = match code {
        997 => 401,
        998 => 404,
        996 | 999 => 500,
        200..=600 => u16::try_from(code).unwrap(),
        _ => 400,
    };
    (StatusCode::from_u16(status).unwrap(), axum::Json(envelope(code, data)))
}

fn api(state: &Shared, call: &Call, rest: &[&str], query: &str) -> (StatusCode, axum::Json<Value>) {
    let plain = |code| said(code, &json!([]));
    assert!(query.split('&').any(|pair| pair == "format=json"), "it would answer in XML: {query}");
    if call.headers.get("ocs-apirequest").is_none_or(|value| value != "true") {
        return plain(412);
    }
    if credentials(call) != Some((ADMIN.to_owned(), PASSWORD.to_owned())) {
        return plain(997);
    }
    let form: Vec<(String, String)> = form_urlencoded::parse(&call.body).into_owned().collect();
    let field =
        |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let mut users = state.users.lock();
    match (call.method.as_str(), rest) {
        ("GET", ["users"]) => {
            let limit =
                query.split('&').find_map(|pair| pair.strip_prefix("limit=")?.parse().ok()).unwrap_or(usize::MAX);
            let names: Vec<_> = std::iter::once(ADMIN.to_owned()).chain(users.keys().cloned()).take(limit).collect();
            said(200, &json!({ "users": names }))
        }
        ("POST", ["users"]) => {
            let groups: BTreeSet<_> =
                form.iter().filter(|(key, _)| key == "groups[]").map(|(_, value)| value.clone()).collect();
            let (id, password) = (field("userid"), field("password"));
            if users.contains_key(&id) {
                return plain(102);
            }
            if groups.iter().any(|group| group != "people") {
                return plain(104);
            }
            let is_strong = |kind: fn(char) -> bool| password.chars().any(kind);
            if password.len() < 10
                || !is_strong(|c| c.is_ascii_uppercase())
                || !is_strong(|c| c.is_ascii_lowercase())
                || !is_strong(|c| c.is_ascii_digit())
                || !is_strong(|c| c.is_ascii_punctuation())
            {
                return plain(107);
            }
            let display_name = field("displayName");
            if display_name.chars().count() > 64 {
                return plain(101);
            }
            let user = User {
                enabled: true,
                password,
                display_name,
                email: field("email"),
                quota: field("quota"),
                groups,
                folders: BTreeSet::new(),
                last_login: 0,
            };
            users.insert(id.clone(), user);
            said(200, &json!({ "id": id }))
        }
        (method, ["users", id, below @ ..]) => {
            let Some(user) = users.get_mut(*id) else {
                // As the documentation has it for these two, and the source for the others.
                return plain(if matches!((method, below), ("DELETE", []) | ("PUT", [_])) { 101 } else { 998 });
            };
            match (method, below) {
                ("GET", []) => said(
                    200,
                    &json!({
                        "enabled": user.enabled, "id": id, "lastLogin": user.last_login, "email": user.email,
                        "displayname": user.display_name, "display-name": user.display_name, "groups": user.groups,
                        "quota": { "free": 1, "used": 0, "quota": user.quota }, "language": "en", "backend": "Database",
                    }),
                ),
                ("PUT", ["enable"]) => {
                    user.enabled = true;
                    plain(200)
                }
                ("PUT", ["disable"]) => {
                    user.enabled = false;
                    plain(200)
                }
                ("PUT", []) => {
                    match field("key").as_str() {
                        "displayname" => user.display_name = field("value"),
                        "email" => user.email = field("value"),
                        "quota" => user.quota = field("value"),
                        _ => return plain(103),
                    }
                    plain(200)
                }
                ("POST", ["groups"]) => {
                    user.groups.insert(field("groupid"));
                    plain(200)
                }
                ("DELETE", []) => {
                    users.remove(*id);
                    plain(200)
                }
                _ => plain(998),
            }
        }
        _ => plain(998),
    }
}

fn dav(state: &Shared, call: &Call, owner: &str, path: &[&str]) -> StatusCode {
    let mut users = state.users.lock();
    let Some((name, password)) = credentials(call) else { return StatusCode::UNAUTHORIZED };
    let Some(user) = users.get_mut(&name).filter(|user| user.enabled && user.password == password) else {
        return StatusCode::UNAUTHORIZED;
    };
    user.last_login = 1_700_000_000_000;
    if owner != name {
        return StatusCode::FORBIDDEN;
    }
    assert_eq!(call.method.as_str(), "MKCOL");
    let (whole, around) = (path.join("/"), path[..path.len() - 1].join("/"));
    if !around.is_empty() && !user.folders.contains(&around) {
        StatusCode::CONFLICT
    } else if user.folders.insert(whole) {
        StatusCode::CREATED
    } else {
        StatusCode::METHOD_NOT_ALLOWED
    }
}

/// A segment of a path without its percent signs.
fn decoded(segment: &str) -> String {
    let escaped = segment.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}
