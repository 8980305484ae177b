//! Visitors without an account.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::client_id;
use crate::app::App;
use crate::identity::VisitorError;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;

pub(super) async fn issue_anonymous_token(
    app: &Arc<App>,
    request: Request<v1::IssueAnonymousTokenRequest>,
) -> Result<Response<v1::IssueAnonymousTokenResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    faults.none()?;
    let welcome = app.visitors.welcome(&client, client_id(app, &peer), request_id).await;
    app.metrics.signed_in("anonymous", welcome.as_ref().map_or_else(VisitorError::outcome, |_| "succeeded"));
    let (visitor, issued) = welcome?;
    Ok(Response::new(v1::IssueAnonymousTokenResponse {
        expires_in: issued.expires_in(app.clock.now()),
        access_expires_at: Some(convert::timestamp(issued.expires_at)),
        access_token: issued.token.expose().clone(),
        anonymous_id: visitor.to_string(),
    }))
}
