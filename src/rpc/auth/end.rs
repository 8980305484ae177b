//! Signing out.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;
use crate::rpc::peer::Peer;
use crate::rpc::status;
use crate::rpc::validate::Faults;

pub(super) async fn logout(
    app: &Arc<App>,
    request: Request<v1::LogoutRequest>,
) -> Result<Response<v1::LogoutResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let client = Faults::default().client(None, &peer);
    let token = &request.get_ref().refresh_token;
    if !token.is_empty() {
        app.sessions.end_by_refresh_token(token, None, peer.actor(), &client).await?;
    } else if let Some(holder) = &peer.holder {
        app.sessions.end_by_access_token(&holder.token, &client).await?;
    } else if peer.refused.is_some() {
        return Err(status::access_token_invalid());
    } else {
        return Err(status::credentials_missing());
    }
    Ok(Response::new(v1::LogoutResponse {}))
}

pub(super) async fn logout_all(
    app: &Arc<App>,
    request: Request<v1::LogoutAllRequest>,
) -> Result<Response<v1::LogoutAllResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let claims = peer.person()?;
    let client = Faults::default().client(None, &peer);
    let keep = claims.sid.filter(|_| request.get_ref().keep_current);
    let ended = app.sessions.end_all(claims.sub, keep, &client).await?;
    Ok(Response::new(v1::LogoutAllResponse { ended: i32::try_from(ended).unwrap_or(i32::MAX) }))
}
