//! Signing up and in with one proof.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::client_id;
use crate::app::App;
use crate::model::ChallengeId;
use crate::proto::v1;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::rpc::{convert, cookies, status};
use crate::session::Visitor;

pub(super) async fn register(
    _app: &Arc<App>,
    _request: Request<v1::RegisterRequest>,
) -> Result<Response<v1::RegisterResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn login(
    app: &Arc<App>,
    request: Request<v1::LoginRequest>,
) -> Result<Response<v1::LoginResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.get_ref();
    let mut faults = Faults::default();
    let Some(v1::login_request::Credential::Otp(otp)) = &message.credential else {
        faults.add("credential", "must be a proof");
        return Err(faults.none().err().unwrap_or_else(status::credentials_missing));
    };
    let challenge: Option<ChallengeId> = faults.parse("otp.challenge_id", &otp.challenge_id);
    let code = faults.code("otp.code", &otp.code, app.config.otp.length);
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let challenge = faults.unless(challenge)?;
    let visitor = Visitor { client: &client, client_id: client_id(app, &peer), request_id };
    let signed_in = app.sessions.sign_in_with_code(challenge, &code, visitor).await?;
    let message = v1::LoginResponse {
        tokens: Some(convert::tokens(&signed_in.tokens, app.clock.now())),
        account: Some(convert::account(signed_in.account, app.clock.now())),
        created: signed_in.created,
        upgraded_from: signed_in.upgraded_from.map(|visitor| visitor.to_string()).unwrap_or_default(),
    };
    Ok(cookies::signed_in(message, app, &signed_in.tokens))
}
