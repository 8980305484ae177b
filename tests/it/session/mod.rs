//! Sessions from outside: carried on, looked at, ended, and ended against resistance.

mod blacklist;
mod cut_off;
mod emptied;
mod freshness;
mod list;
mod logout;
mod loss;
mod propagation;
mod races;
mod refresh;
mod replay;
mod restart;
mod revoke;
mod rotation;
mod vigil;
mod watch;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use countersign::model::{Actor, Cause, SessionId, TokenId};
use countersign::proto::v1;
use countersign::store::{Grant, Opened, StoreError};
use tonic::Status;

use crate::harness::database::{new_session, phone, sign_in};
use crate::harness::{Node, Person, TestApp, bearer, details};

/// Opens a session for somebody new, past the code: the cheap way for tests that need hundreds.
pub(crate) async fn newcomer(app: &TestApp) -> Person {
    newcomer_on(app.node(), app.now()).await.unwrap()
}

/// The same on any node, as far as its database answers.
pub(crate) async fn newcomer_on(node: &Node, now: DateTime<Utc>) -> Result<Person, StoreError> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let somebody = phone(NEXT.fetch_add(1, Ordering::Relaxed));
    let node = node.app();
    let cause = Cause { actor: Actor::System, ..Cause::system(now) };
    let mut session = new_session(now);
    session.absolute_expires_at = now + node.config.session.absolute_lifetime;
    session.expires_at = now + node.config.session.idle_lifetime;
    session.access_expires_at = now + node.config.token.access_lifetime;
    let opened = node.store.open_session(sign_in(&somebody, session, &cause)).await?;
    let Opened::Session { account, session, .. } = opened else { panic!("{opened:?}") };
    let grant = Grant::of(*session, &account);
    Ok(Person {
        access_token: node.access.issue(&grant, now).unwrap().token.expose().clone(),
        refresh_token: node.sessions.refresh_tokens.seal(grant.session.id, grant.session.generation).expose().clone(),
        account_id: account.id.to_string(),
    })
}

/// Asks a node for the next pair.
pub(crate) async fn refresh_on(node: &Node, token: &str, request_id: &str) -> Result<v1::Tokens, Status> {
    let request =
        v1::RefreshRequest { refresh_token: token.to_owned(), request_id: request_id.to_owned(), ..Default::default() };
    node.tokens().refresh(request).await.map(|answer| answer.into_inner().tokens.unwrap())
}

/// Asks the first node for the next pair, without a name for the intent.
pub(crate) async fn refresh(app: &TestApp, token: &str) -> Result<v1::Tokens, Status> {
    refresh_on(app.node(), token, "").await
}

/// Why an answer is none.
pub(crate) fn reason<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    details(&outcome.unwrap_err()).reason
}

/// The session that an access token belongs to.
pub(crate) fn session_of(app: &TestApp, access_token: &str) -> SessionId {
    app.node().app().access.known(access_token).unwrap().claims.sid.unwrap()
}

/// The identifier of an access token.
pub(crate) fn token_id(app: &TestApp, access_token: &str) -> TokenId {
    app.node().app().access.known(access_token).unwrap().claims.jti
}

/// What the first node says of a token.
pub(crate) async fn introspect(app: &TestApp, token: &str) -> v1::IntrospectResponse {
    let request = v1::IntrospectRequest { token: token.to_owned(), ..Default::default() };
    app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner()
}

/// Signs a session out by its access token.
pub(crate) async fn log_out(app: &TestApp, access_token: &str) {
    app.node().auth().logout(bearer(v1::LogoutRequest::default(), access_token)).await.unwrap();
}

/// Waits until a node refuses a token, and tells how long that took.
pub(crate) async fn refused_after(app: &TestApp, node: usize, token: &str) -> Duration {
    let began = Instant::now();
    while app.is_active_on(node, token).await {
        assert!(began.elapsed() < Duration::from_secs(5), "node {node} has not heard of it within five seconds");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}
