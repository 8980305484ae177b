//! Passwords, changed and set anew.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::sign_in::MOST_PASSWORD_BYTES;
use crate::app::App;
use crate::model::ChallengeId;
use crate::proto::v1;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::secret::Secret;
use crate::session::ResetBy;

/// Longer than any token of a link.
const MOST_TOKEN_BYTES: usize = 512;

pub(super) async fn change_password(
    app: &Arc<App>,
    request: Request<v1::ChangePasswordRequest>,
) -> Result<Response<v1::ChangePasswordResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let claims = peer.person()?;
    let message = request.into_inner();
    let mut faults = Faults::default();
    let client = faults.client(None, &peer);
    faults.token("current_password", &message.current_password, MOST_PASSWORD_BYTES);
    faults.none()?;
    let (current, new) = (Secret::new(message.current_password), Secret::new(message.new_password));
    let keep = claims.sid.filter(|_| message.keep_current_session);
    app.sessions.change_password(claims.sub, &current, &new, keep, &client).await?;
    Ok(Response::new(v1::ChangePasswordResponse {}))
}

pub(super) async fn request_password_reset(
    app: &Arc<App>,
    request: Request<v1::RequestPasswordResetRequest>,
) -> Result<Response<v1::RequestPasswordResetResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let identifier = faults.identifier(message.identifier.as_ref(), app.config.accounts.default_region);
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let identifier = faults.unless(identifier)?;
    app.sessions.resets.request(&identifier, &client, request_id).await?;
    Ok(Response::new(v1::RequestPasswordResetResponse {}))
}

pub(super) async fn reset_password(
    app: &Arc<App>,
    request: Request<v1::ResetPasswordRequest>,
) -> Result<Response<v1::ResetPasswordResponse>, Status> {
    use v1::reset_password_request::Proof;

    let peer = Peer::of(&request)?.clone();
    let message = request.into_inner();
    let mut faults = Faults::default();
    let client = faults.client(message.client.as_ref(), &peer);
    let by = match message.proof {
        Some(Proof::ResetToken(token)) => {
            faults.token("reset_token", &token, MOST_TOKEN_BYTES);
            Some(ResetBy::Token(Secret::new(token)))
        }
        Some(Proof::Otp(otp)) => {
            let challenge: Option<ChallengeId> = faults.parse("otp.challenge_id", &otp.challenge_id);
            let code = Secret::new(faults.code("otp.code", &otp.code, app.config.otp.length));
            challenge.map(|challenge| ResetBy::Code { challenge, code })
        }
        None => {
            faults.add("proof", "must be a token or a code");
            None
        }
    };
    let by = faults.unless(by)?;
    app.sessions.reset_password(&by, &Secret::new(message.new_password), &client).await?;
    Ok(Response::new(v1::ResetPasswordResponse {}))
}
