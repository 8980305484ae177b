//! `AuthService`: getting in and out.

mod code;
mod end;
mod flow;
mod password;
mod sign_in;
mod visitor;

use std::sync::Arc;

use tonic::{Request, Response, Status};

pub(super) use self::sign_in::MOST_PASSWORD_BYTES;
use super::peer::Peer;
use crate::app::App;
use crate::model::{LEEWAY_LIMIT, Permission};
use crate::proto::v1;
use crate::proto::v1::auth_service_server::AuthService;
use crate::session::SignInError;
use crate::store::Upgrade;

#[derive(Debug)]
pub(super) struct Auth(pub(super) Arc<App>);

/// The application that a peer signs people in for.
fn client_id<'a>(app: &'a App, peer: &'a Peer) -> &'a str {
    match &peer.caller {
        Some(caller) if peer.may(Permission::ActForClients) => &caller.name,
        _ => &app.config.token.client_id,
    }
}

/// The visitor whose anonymous token came along. A person's token, or one that does not count, says nothing here.
fn upgrade(app: &App, peer: &Peer) -> Option<Upgrade> {
    let claims = peer.holder.as_ref().filter(|holder| holder.sure).map(|holder| &holder.token.claims)?;
    // The visitor may have other tokens as well, issued up to now.
    let expires_at = app.clock.now() + app.access.anonymous_lifetime() + LEEWAY_LIMIT;
    claims.anon.then_some(Upgrade { visitor: claims.sub, token: claims.jti, expires_at })
}

/// Counts how an attempt to sign in has ended.
fn counted<T>(app: &App, method: &'static str, attempt: Result<T, SignInError>) -> Result<T, SignInError> {
    app.metrics.signed_in(method, attempt.as_ref().map_or_else(SignInError::outcome, |_| "succeeded"));
    attempt
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn request_otp(
        &self,
        request: Request<v1::RequestOtpRequest>,
    ) -> Result<Response<v1::RequestOtpResponse>, Status> {
        code::request_otp(&self.0, request).await
    }

    async fn resend_otp(
        &self,
        request: Request<v1::ResendOtpRequest>,
    ) -> Result<Response<v1::ResendOtpResponse>, Status> {
        code::resend_otp(&self.0, request).await
    }

    async fn register(&self, request: Request<v1::RegisterRequest>) -> Result<Response<v1::RegisterResponse>, Status> {
        sign_in::register(&self.0, request).await
    }

    async fn login(&self, request: Request<v1::LoginRequest>) -> Result<Response<v1::LoginResponse>, Status> {
        sign_in::login(&self.0, request).await
    }

    async fn begin_sign_in(
        &self,
        request: Request<v1::BeginSignInRequest>,
    ) -> Result<Response<v1::BeginSignInResponse>, Status> {
        flow::begin_sign_in(&self.0, request).await
    }

    async fn continue_sign_in(
        &self,
        request: Request<v1::ContinueSignInRequest>,
    ) -> Result<Response<v1::ContinueSignInResponse>, Status> {
        flow::continue_sign_in(&self.0, request).await
    }

    async fn issue_anonymous_token(
        &self,
        request: Request<v1::IssueAnonymousTokenRequest>,
    ) -> Result<Response<v1::IssueAnonymousTokenResponse>, Status> {
        visitor::issue_anonymous_token(&self.0, request).await
    }

    async fn logout(&self, request: Request<v1::LogoutRequest>) -> Result<Response<v1::LogoutResponse>, Status> {
        end::logout(&self.0, request).await
    }

    async fn logout_all(
        &self,
        request: Request<v1::LogoutAllRequest>,
    ) -> Result<Response<v1::LogoutAllResponse>, Status> {
        end::logout_all(&self.0, request).await
    }

    async fn change_password(
        &self,
        request: Request<v1::ChangePasswordRequest>,
    ) -> Result<Response<v1::ChangePasswordResponse>, Status> {
        password::change_password(&self.0, request).await
    }

    async fn request_password_reset(
        &self,
        request: Request<v1::RequestPasswordResetRequest>,
    ) -> Result<Response<v1::RequestPasswordResetResponse>, Status> {
        password::request_password_reset(&self.0, request).await
    }

    async fn reset_password(
        &self,
        request: Request<v1::ResetPasswordRequest>,
    ) -> Result<Response<v1::ResetPasswordResponse>, Status> {
        // On the heap: it is larger than what all others need.
        Box::pin(password::reset_password(&self.0, request)).await
    }
}
