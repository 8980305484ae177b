//! `AuthService`: getting in and out.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::peer::Peer;
use super::validate::Faults;
use super::{convert, status};
use crate::app::App;
use crate::credential::RequestCode;
use crate::model::{ChallengeId, Permission, Purpose};
use crate::proto::v1;
use crate::proto::v1::auth_service_server::AuthService;
use crate::session::Visitor;

#[derive(Debug)]
pub(super) struct Auth(pub(super) Arc<App>);

impl Auth {
    /// The application that a peer signs people in for.
    fn client_id<'a>(&'a self, peer: &'a Peer) -> &'a str {
        match &peer.caller {
            Some(caller) if peer.may(Permission::ActForClients) => &caller.name,
            _ => &self.0.config.token.client_id,
        }
    }
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn request_otp(
        &self,
        request: Request<v1::RequestOtpRequest>,
    ) -> Result<Response<v1::RequestOtpResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let message = request.get_ref();
        let mut faults = Faults::default();
        let identifier = faults.identifier(message.identifier.as_ref(), self.0.config.accounts.default_region);
        if v1::OtpPurpose::try_from(message.purpose).is_err() {
            faults.add("purpose", "is unknown");
        }
        faults.channel(message.channel, identifier.as_ref());
        let client = faults.client(message.client.as_ref(), &peer);
        let request_id = faults.request_id(&message.request_id);
        let identifier = faults.unless(identifier)?;
        let asked = RequestCode { identifier: &identifier, purpose: Purpose::SignIn, client: &client, request_id };
        let challenge = self.0.codes.request(asked).await?;
        Ok(Response::new(v1::RequestOtpResponse { challenge: Some(convert::challenge(&challenge)) }))
    }

    async fn resend_otp(
        &self,
        request: Request<v1::ResendOtpRequest>,
    ) -> Result<Response<v1::ResendOtpResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let message = request.get_ref();
        let mut faults = Faults::default();
        let challenge: Option<ChallengeId> = faults.parse("challenge_id", &message.challenge_id);
        let client = faults.client(message.client.as_ref(), &peer);
        let request_id = faults.request_id(&message.request_id);
        let challenge = faults.unless(challenge)?;
        let challenge = self.0.codes.resend(challenge, &client, request_id).await?;
        Ok(Response::new(v1::ResendOtpResponse { challenge: Some(convert::challenge(&challenge)) }))
    }

    async fn login(&self, request: Request<v1::LoginRequest>) -> Result<Response<v1::LoginResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let message = request.get_ref();
        let mut faults = Faults::default();
        let Some(v1::login_request::Credential::Otp(otp)) = &message.credential else {
            faults.add("credential", "must be a proof");
            return Err(faults.none().err().unwrap_or_else(status::credentials_missing));
        };
        let challenge: Option<ChallengeId> = faults.parse("otp.challenge_id", &otp.challenge_id);
        let code = faults.code("otp.code", &otp.code, self.0.config.otp.length);
        let client = faults.client(message.client.as_ref(), &peer);
        let request_id = faults.request_id(&message.request_id);
        let challenge = faults.unless(challenge)?;
        let visitor = Visitor { client: &client, client_id: self.client_id(&peer), request_id };
        let signed_in = self.0.sessions.sign_in_with_code(challenge, &code, visitor).await?;
        Ok(Response::new(v1::LoginResponse {
            tokens: Some(convert::tokens(&signed_in.tokens, self.0.clock.now())),
            account: Some(convert::account(signed_in.account)),
            created: signed_in.created,
        }))
    }

    async fn issue_anonymous_token(
        &self,
        request: Request<v1::IssueAnonymousTokenRequest>,
    ) -> Result<Response<v1::IssueAnonymousTokenResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let message = request.get_ref();
        let mut faults = Faults::default();
        let client = faults.client(message.client.as_ref(), &peer);
        let request_id = faults.request_id(&message.request_id);
        faults.none()?;
        let (visitor, issued) = self.0.visitors.welcome(&client, self.client_id(&peer), request_id).await?;
        Ok(Response::new(v1::IssueAnonymousTokenResponse {
            expires_in: issued.expires_in(self.0.clock.now()),
            access_expires_at: Some(convert::timestamp(issued.expires_at)),
            access_token: issued.token.expose().clone(),
            anonymous_id: visitor.to_string(),
        }))
    }

    async fn logout(&self, request: Request<v1::LogoutRequest>) -> Result<Response<v1::LogoutResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let client = Faults::default().client(None, &peer);
        let token = &request.get_ref().refresh_token;
        if !token.is_empty() {
            self.0.sessions.end_by_refresh_token(token, None, peer.actor(), &client).await?;
        } else if let Some(holder) = &peer.holder {
            self.0.sessions.end_by_access_token(&holder.token, &client).await?;
        } else if peer.refused.is_some() {
            return Err(status::access_token_invalid());
        } else {
            return Err(status::credentials_missing());
        }
        Ok(Response::new(v1::LogoutResponse {}))
    }

    async fn logout_all(
        &self,
        request: Request<v1::LogoutAllRequest>,
    ) -> Result<Response<v1::LogoutAllResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let claims = peer.person()?;
        let client = Faults::default().client(None, &peer);
        let keep = claims.sid.filter(|_| request.get_ref().keep_current);
        let ended = self.0.sessions.end_all(claims.sub, keep, &client).await?;
        Ok(Response::new(v1::LogoutAllResponse { ended: i32::try_from(ended).unwrap_or(i32::MAX) }))
    }
}
