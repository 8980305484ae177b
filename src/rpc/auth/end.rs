//! Signing out.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::rpc::{cookies, status};

pub(super) async fn logout(
    app: &Arc<App>,
    request: Request<v1::LogoutRequest>,
) -> Result<Response<v1::LogoutResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let client = Faults::default().client(None, &peer);
    let cookie = cookies::refresh_token(request.metadata(), app, &peer).unwrap_or_default();
    let sent = request.get_ref().refresh_token.as_str();
    // A token that is sent in so many words is meant; cookies come along by themselves.
    let has_bearer = request.metadata().contains_key("authorization");
    let token = if sent.is_empty() && !has_bearer { cookie } else { sent };
    if !token.is_empty() {
        app.sessions.end_by_refresh_token(token, None, peer.actor(), &client).await?;
    } else if let Some(holder) = &peer.holder {
        app.sessions.end_by_access_token(&holder.token, &client).await?;
    } else if peer.refused.is_some() {
        return Err(status::access_token_invalid());
    } else {
        return Err(status::credentials_missing());
    }
    Ok(cookies::signed_out(v1::LogoutResponse {}, app, &peer))
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
    let answer = v1::LogoutAllResponse { ended: i32::try_from(ended).unwrap_or(i32::MAX) };
    Ok(if keep.is_some() { Response::new(answer) } else { cookies::signed_out(answer, app, &peer) })
}
