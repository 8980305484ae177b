//! One's account, deleted.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::model::ChallengeId;
use crate::proto::v1;
use crate::rpc::auth::MOST_PASSWORD_BYTES;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::secret::Secret;
use crate::session::Farewell;

pub(super) async fn delete_account(
    app: &Arc<App>,
    request: Request<v1::DeleteAccountRequest>,
) -> Result<Response<v1::DeleteAccountResponse>, Status> {
    use v1::delete_account_request::Proof;

    let peer = Peer::of(&request)?.clone();
    let owner = peer.person()?.sub;
    let mut faults = Faults::default();
    let client = faults.client(None, &peer);
    let proof = match request.into_inner().proof {
        Some(Proof::Password(password)) => {
            faults.token("password", &password, MOST_PASSWORD_BYTES);
            Some(Farewell::Password(Secret::new(password)))
        }
        Some(Proof::Otp(otp)) => {
            let challenge: Option<ChallengeId> = faults.parse("otp.challenge_id", &otp.challenge_id);
            let code = Secret::new(faults.code("otp.code", &otp.code, app.config.otp.length));
            challenge.map(|challenge| Farewell::Code { challenge, code })
        }
        None => {
            faults.add("proof", "must be a password or a code");
            None
        }
    };
    let proof = faults.unless(proof)?;
    app.departures.leave(owner, &proof, &client, &peer.cause(app.clock.now())).await?;
    Ok(Response::new(v1::DeleteAccountResponse {}))
}
