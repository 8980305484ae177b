//! People's sessions, as operators see them.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::cause;
use crate::app::App;
use crate::model::SessionId;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, page};

pub(super) async fn list_account_sessions(
    app: &Arc<App>,
    request: Request<v1::ListAccountSessionsRequest>,
) -> Result<Response<v1::ListAccountSessionsResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let account = faults.parse("account_id", &message.account_id);
    let size = faults.page_size(message.page_size);
    let below = faults.page_token(&message.page_token, |cursor| Uuid::from_slice(cursor).ok().map(SessionId));
    let account = faults.unless(account)?;
    let found = app.sessions.list(account, below, i64::from(size) + 1).await?;
    let (sessions, next_page_token) = page(found, size, |last| last.id.0.as_bytes().to_vec());
    Ok(Response::new(v1::ListAccountSessionsResponse {
        sessions: sessions.into_iter().map(|session| convert::session(session, None)).collect(),
        next_page_token,
    }))
}

pub(super) async fn revoke_account_sessions(
    app: &Arc<App>,
    request: Request<v1::RevokeAccountSessionsRequest>,
) -> Result<Response<v1::RevokeAccountSessionsResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let account = faults.parse("account_id", &message.account_id);
    let one = if message.session_id.is_empty() { None } else { faults.parse("session_id", &message.session_id) };
    let ended = app.sessions.end_for_operator(faults.unless(account)?, one, &cause).await?;
    Ok(Response::new(v1::RevokeAccountSessionsResponse { ended: i32::try_from(ended).unwrap_or(i32::MAX) }))
}
