//! Where one is signed in.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use uuid::Uuid;

use crate::app::App;
use crate::model::SessionId;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::{Faults, page};

pub(super) async fn list_sessions(
    app: &Arc<App>,
    request: Request<v1::ListSessionsRequest>,
) -> Result<Response<v1::ListSessionsResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let size = faults.page_size(message.page_size);
    let below = faults.page_token(&message.page_token, |cursor| Uuid::from_slice(cursor).ok().map(SessionId));
    faults.none()?;
    let claims = Peer::of(&request)?.person()?;
    let found = app.sessions.list(claims.sub, below, i64::from(size) + 1).await?;
    let (sessions, next_page_token) = page(found, size, |last| last.id.0.as_bytes().to_vec());
    Ok(Response::new(v1::ListSessionsResponse {
        sessions: sessions.into_iter().map(|session| convert::session(session, claims.sid)).collect(),
        next_page_token,
    }))
}

pub(super) async fn revoke_session(
    app: &Arc<App>,
    request: Request<v1::RevokeSessionRequest>,
) -> Result<Response<v1::RevokeSessionResponse>, Status> {
    let peer = Peer::of(&request)?;
    let mut faults = Faults::default();
    let client = faults.client(None, peer);
    let session = faults.parse("session_id", &request.get_ref().session_id);
    let session = faults.unless(session)?;
    app.sessions.end_own(session, peer.person()?.sub, &client).await?;
    Ok(Response::new(v1::RevokeSessionResponse {}))
}
