//! Signing in step by step.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::sign_in::MOST_PASSWORD_BYTES;
use super::{client_id, upgrade};
use crate::app::App;
use crate::proto::v1;
use crate::proto::v1::continue_sign_in_request::Input as Sent;
use crate::rpc::peer::Peer;
use crate::rpc::validate::Faults;
use crate::rpc::{convert, cookies};
use crate::secret::Secret;
use crate::session::{FlowError, Input, Next, Profile, Step, Visitor};

/// No name of a flow is longer.
const MOST_FLOW_BYTES: usize = 64;

pub(super) async fn begin_sign_in(
    app: &Arc<App>,
    request: Request<v1::BeginSignInRequest>,
) -> Result<Response<v1::BeginSignInResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.into_inner();
    let mut faults = Faults::default();
    let identifier = faults.identifier(message.identifier.as_ref(), app.config.accounts.default_region);
    let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, &peer);
    let identifier = faults.unless(identifier)?;
    let visitor = Visitor { client: &client, client_id: client_id(app, &peer), request_id, anonymous: None };
    let step = app.flows.begin(&identifier, visitor).await?;
    Ok(Response::new(v1::BeginSignInResponse { step: Some(told(app, step)) }))
}

pub(super) async fn continue_sign_in(
    app: &Arc<App>,
    request: Request<v1::ContinueSignInRequest>,
) -> Result<Response<v1::ContinueSignInResponse>, Status> {
    let peer = Peer::of(&request)?.clone();
    let message = request.into_inner();
    let mut faults = Faults::default();
    faults.token("flow_id", &message.flow_id, MOST_FLOW_BYTES);
    let input = input(app, message.input, &mut faults);
    let client = faults.client(message.client.as_ref(), &peer);
    let input = faults.unless(input)?;
    let anonymous = upgrade(app, &peer);
    let visitor = Visitor { client: &client, client_id: client_id(app, &peer), request_id: None, anonymous };
    let step = app.flows.go_on(&message.flow_id, input, visitor).await;
    // A step in between is no end.
    match &step {
        Ok(Step { next: Next::Done(_), .. }) => app.metrics.signed_in("guided", "succeeded"),
        Err(FlowError::SignIn(error)) => app.metrics.signed_in("guided", error.outcome()),
        Ok(_) | Err(_) => {}
    }
    let step = step?;
    let pair = match &step.next {
        Next::Done(signed_in) => Some(signed_in.tokens.clone()),
        Next::Code(_) | Next::Password | Next::SetPassword | Next::Profile => None,
    };
    let answer = v1::ContinueSignInResponse { step: Some(told(app, step)) };
    Ok(match pair {
        Some(pair) => cookies::signed_in(answer, app, &peer, &pair),
        None => Response::new(answer),
    })
}

fn input(app: &App, sent: Option<Sent>, faults: &mut Faults) -> Option<Input> {
    Some(match sent {
        Some(Sent::Code(code)) => Input::Code(Secret::new(faults.code("code", &code, app.config.otp.length))),
        Some(Sent::Password(password)) => {
            faults.token("password", &password, MOST_PASSWORD_BYTES);
            Input::Password(Secret::new(password))
        }
        Some(Sent::NewPassword(password)) => {
            faults.token("new_password", &password, MOST_PASSWORD_BYTES);
            Input::NewPassword(Secret::new(password))
        }
        Some(Sent::Profile(profile)) => Input::Profile(Profile {
            first_name: faults.name("profile.first_name", &profile.first_name),
            last_name: faults.name("profile.last_name", &profile.last_name),
            locale: faults.locale("profile.locale", &profile.locale),
            metadata: faults.own_metadata("profile.metadata", profile.metadata.as_ref(), &app.config.token.claims),
        }),
        Some(Sent::UseCode(true)) => Input::UseCode,
        Some(Sent::UseCode(false)) => {
            faults.add("use_code", "must be true");
            return None;
        }
        None => {
            faults.add("input", "must be what the step needs");
            return None;
        }
    })
}

fn told(app: &App, step: Step) -> v1::SignInStep {
    let mut told = v1::SignInStep {
        flow_id: step.flow_id.expose().clone(),
        expires_at: Some(convert::timestamp(step.expires_at)),
        ..Default::default()
    };
    let next = match step.next {
        Next::Code(challenge) => {
            told.challenge = Some(convert::challenge(&challenge));
            v1::SignInNext::Code
        }
        Next::Password => v1::SignInNext::Password,
        Next::SetPassword => v1::SignInNext::SetPassword,
        Next::Profile => v1::SignInNext::Profile,
        Next::Done(signed_in) => {
            let now = app.clock.now();
            told.tokens = Some(convert::tokens(&signed_in.tokens, now));
            told.created = signed_in.created;
            told.upgraded_from = signed_in.upgraded_from.map(|visitor| visitor.to_string()).unwrap_or_default();
            told.account = Some(convert::account(signed_in.account, now));
            v1::SignInNext::Done
        }
    };
    told.set_next(next);
    told
}
