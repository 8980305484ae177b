//! Signing up and in with one proof.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{client_id, counted, upgrade};
use crate::app::App;
use crate::model::{ChallengeId, EmailAddress, Phone};
use crate::proto::v1;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::rpc::{convert, cookies};
use crate::secret::Secret;
use crate::session::{Registration, SignedIn, Visitor};

/// The longest password that is looked at. No password that may be set is nearly as long.
pub(in crate::rpc) const MOST_PASSWORD_BYTES: usize = 1024;

pub(super) async fn register(
    app: &Arc<App>,
    request: Request<v1::RegisterRequest>,
) -> Result<Response<v1::RegisterResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.into_inner();
    let mut faults = Faults::default();
    let challenge: Option<ChallengeId> = faults.parse("challenge_id", &message.challenge_id);
    let code = faults.code("code", &message.code, app.config.otp.length);
    let mut registration = Registration {
        password: Some(message.password).filter(|text| !text.is_empty()).map(Secret::new),
        first_name: faults.name("first_name", &message.first_name),
        last_name: faults.name("last_name", &message.last_name),
        metadata: faults.own_metadata("metadata", message.metadata.as_ref(), &app.config.token.claims),
        locale: faults.locale("locale", &message.locale),
        ..Registration::default()
    };
    match &message.second {
        Some(v1::register_request::Second::Phone(text)) => {
            match Phone::parse(text, app.config.accounts.default_region) {
                Ok(phone) => registration.phone = Some(phone),
                Err(fault) => faults.add("phone", fault),
            }
        }
        Some(v1::register_request::Second::Email(text)) => match EmailAddress::parse(text) {
            Ok(email) => registration.email = Some(email),
            Err(fault) => faults.add("email", fault),
        },
        None => {}
    }
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let challenge = faults.unless(challenge)?;
    let anonymous = upgrade(app, &peer);
    let visitor = Visitor { client: &client, client_id: client_id(app, &peer), request_id, anonymous };
    let registered = app.sessions.register(challenge, &code, registration, visitor).await;
    let signed_in = counted(app, "registration", registered)?;
    let pair = signed_in.tokens.clone();
    let v1::LoginResponse { tokens, account, upgraded_from, .. } = answer(app, signed_in);
    Ok(cookies::signed_in(v1::RegisterResponse { tokens, account, upgraded_from }, app, &peer, &pair))
}

pub(super) async fn login(
    app: &Arc<App>,
    request: Request<v1::LoginRequest>,
) -> Result<Response<v1::LoginResponse>, Status> {
    use v1::login_request::Credential;

    let peer = Peer::of(&request)?.clone();
    let message = request.into_inner();
    let mut faults = Faults::default();
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let anonymous = upgrade(app, &peer);
    let visitor = Visitor { client: &client, client_id: client_id(app, &peer), request_id, anonymous };
    let signed_in = match message.credential {
        Some(Credential::Otp(otp)) => {
            let challenge: Option<ChallengeId> = faults.parse("otp.challenge_id", &otp.challenge_id);
            let code = faults.code("otp.code", &otp.code, app.config.otp.length);
            let attempt = app.sessions.sign_in_with_code(faults.unless(challenge)?, &code, visitor).await;
            counted(app, "code", attempt)?
        }
        Some(Credential::Password(sent)) => {
            let region = app.config.accounts.default_region;
            let identifier = faults.identifier_in("password.identifier", sent.identifier.as_ref(), region);
            faults.token("password.password", &sent.password, MOST_PASSWORD_BYTES);
            let password = Secret::new(sent.password);
            let attempt = app.sessions.sign_in_with_password(&faults.unless(identifier)?, &password, visitor).await;
            counted(app, "password", attempt)?
        }
        None => {
            faults.add("credential", "must be a proof");
            return Err(faults.into_status());
        }
    };
    let tokens = signed_in.tokens.clone();
    Ok(cookies::signed_in(answer(app, signed_in), app, &peer, &tokens))
}

fn answer(app: &App, signed_in: SignedIn) -> v1::LoginResponse {
    v1::LoginResponse {
        tokens: Some(convert::tokens(&signed_in.tokens, app.clock.now())),
        account: Some(convert::account(signed_in.account, app.clock.now())),
        created: signed_in.created,
        upgraded_from: signed_in.upgraded_from.map(|visitor| visitor.to_string()).unwrap_or_default(),
    }
}
