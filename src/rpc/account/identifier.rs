//! How one is known, changed.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::model::ChallengeId;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;

pub(super) async fn change_identifier(
    app: &Arc<App>,
    request: Request<v1::ChangeIdentifierRequest>,
) -> Result<Response<v1::ChangeIdentifierResponse>, Status> {
    let peer = Peer::of(&request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let challenge: Option<ChallengeId> = faults.parse("challenge_id", &message.challenge_id);
    let code = faults.code("code", &message.code, app.config.otp.length);
    let challenge = faults.unless(challenge)?;
    let now = app.clock.now();
    let (owner, network) = (peer.person()?.sub, peer.address.into());
    let account = app.owners.change_identifier(owner, challenge, &code, network, &peer.cause(now)).await?;
    Ok(Response::new(v1::ChangeIdentifierResponse { account: Some(convert::account(account, now)) }))
}
