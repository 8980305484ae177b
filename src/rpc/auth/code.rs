//! Codes, asked for.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::credential::RequestCode;
use crate::model::{ChallengeId, Purpose};
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;

pub(super) async fn request_otp(
    app: &Arc<App>,
    request: Request<v1::RequestOtpRequest>,
) -> Result<Response<v1::RequestOtpResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let identifier = faults.identifier(message.identifier.as_ref(), app.config.accounts.default_region);
    let purpose = purpose(message.purpose);
    if purpose.is_none() {
        faults.add("purpose", "is unknown");
    }
    faults.channel(message.channel, identifier.as_ref());
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let (identifier, purpose) = faults.unless(identifier.zip(purpose))?;
    let asked = RequestCode { identifier: &identifier, purpose, client: &client, request_id };
    let challenge = app.codes.request(asked).await?;
    Ok(Response::new(v1::RequestOtpResponse { challenge: Some(convert::challenge(&challenge)) }))
}

pub(super) async fn resend_otp(
    app: &Arc<App>,
    request: Request<v1::ResendOtpRequest>,
) -> Result<Response<v1::ResendOtpResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let challenge: Option<ChallengeId> = faults.parse("challenge_id", &message.challenge_id);
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let challenge = faults.unless(challenge)?;
    let challenge = app.codes.resend(challenge, &client, request_id).await?;
    Ok(Response::new(v1::ResendOtpResponse { challenge: Some(convert::challenge(&challenge)) }))
}

fn purpose(asked: i32) -> Option<Purpose> {
    Some(match v1::OtpPurpose::try_from(asked).ok()? {
        v1::OtpPurpose::Unspecified | v1::OtpPurpose::SignIn => Purpose::SignIn,
        v1::OtpPurpose::Register => Purpose::Register,
        v1::OtpPurpose::ResetPassword => Purpose::ResetPassword,
        v1::OtpPurpose::ChangeIdentifier => Purpose::ChangeIdentifier,
        v1::OtpPurpose::DeleteAccount => Purpose::DeleteAccount,
    })
}
