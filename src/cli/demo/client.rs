//! The calls that the walk makes, each with how long it took, and each refusal as a sentence.

use std::error::Error;
use std::time::{Duration, Instant};

use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::cli::Failure;
use crate::proto::v1;
use crate::proto::v1::account_service_client::AccountServiceClient;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::auth_service_client::AuthServiceClient;
use crate::proto::v1::reset_password_request::Proof;
use crate::proto::v1::token_service_client::TokenServiceClient;

const PATIENCE: Duration = Duration::from_secs(5);

/// A connection, and the API key that services show.
pub(super) struct Client {
    auth: AuthServiceClient<Channel>,
    tokens: TokenServiceClient<Channel>,
    account: AccountServiceClient<Channel>,
    admin: AdminServiceClient<Channel>,
    credential: MetadataValue<Ascii>,
}

/// What came back.
pub(super) struct Answer<T> {
    pub message: T,
    pub took: Duration,
}

/// What came back instead.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(super) struct Refusal {
    /// The reason that the contract names; empty where there is none.
    pub reason: String,
    pub took: Duration,
    sentence: String,
}

type Answered<T> = Result<Answer<T>, Refusal>;

impl Client {
    /// Connects.
    pub(super) async fn connect(url: &str, api_key: &str) -> Result<Self, Failure> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        if url.starts_with("https://") {
            return Err("this speaks to a server without TLS only: use http://, inside the network it serves".into());
        }
        let endpoint = Endpoint::from_shared(url.clone()).map_err(|_| format!("`{url}` is not a URL"))?;
        let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await.map_err(|error| {
            format!("{url} cannot be reached ({}); `countersign serve` starts a server", root_cause(&error))
        })?;
        Ok(Self {
            auth: AuthServiceClient::new(channel.clone()),
            tokens: TokenServiceClient::new(channel.clone()),
            account: AccountServiceClient::new(channel.clone()),
            admin: AdminServiceClient::new(channel),
            credential: bearer(api_key).ok_or("the API key is none: it begins with csk_")?,
        })
    }

    pub(super) async fn request_otp(&mut self, request: v1::RequestOtpRequest) -> Answered<v1::RequestOtpResponse> {
        timed("RequestOtp", self.auth.request_otp(request)).await
    }

    pub(super) async fn login(&mut self, request: v1::LoginRequest) -> Answered<v1::LoginResponse> {
        timed("Login", self.auth.login(request)).await
    }

    pub(super) async fn begin_sign_in(&mut self, request: v1::BeginSignInRequest) -> Answered<v1::BeginSignInResponse> {
        timed("BeginSignIn", self.auth.begin_sign_in(request)).await
    }

    /// The next step, taken by a visitor.
    pub(super) async fn continue_sign_in(
        &mut self,
        request: v1::ContinueSignInRequest,
        visitor: &str,
    ) -> Answered<v1::ContinueSignInResponse> {
        timed("ContinueSignIn", self.auth.continue_sign_in(with(request, bearer(visitor)))).await
    }

    pub(super) async fn request_password_reset(
        &mut self,
        identifier: v1::Identifier,
    ) -> Answered<v1::RequestPasswordResetResponse> {
        let request = v1::RequestPasswordResetRequest { identifier: Some(identifier), ..Default::default() };
        timed("RequestPasswordReset", self.auth.request_password_reset(request)).await
    }

    pub(super) async fn reset_password(
        &mut self,
        proof: Proof,
        new_password: &str,
    ) -> Answered<v1::ResetPasswordResponse> {
        let (proof, new_password) = (Some(proof), new_password.to_owned());
        let request = v1::ResetPasswordRequest { proof, new_password, client: None };
        timed("ResetPassword", self.auth.reset_password(request)).await
    }

    pub(super) async fn verify_identity(
        &mut self,
        access_token: &str,
        national_id: &str,
    ) -> Answered<v1::VerifyIdentityResponse> {
        let request = v1::VerifyIdentityRequest { national_id: national_id.to_owned(), ..Default::default() };
        timed("VerifyIdentity", self.account.verify_identity(with(request, bearer(access_token)))).await
    }

    pub(super) async fn block_account(&mut self, account_id: &str) -> Answered<v1::BlockAccountResponse> {
        let (account_id, reason) = (account_id.to_owned(), "countersign demo".to_owned());
        let request = self.with_key(v1::BlockAccountRequest { account_id, reason, until: None });
        timed("BlockAccount", self.admin.block_account(request)).await
    }

    pub(super) async fn unblock_account(&mut self, account_id: &str) -> Answered<v1::UnblockAccountResponse> {
        let request = self.with_key(v1::UnblockAccountRequest { account_id: account_id.to_owned() });
        timed("UnblockAccount", self.admin.unblock_account(request)).await
    }

    pub(super) async fn anonymous_token(&mut self) -> Answered<v1::IssueAnonymousTokenResponse> {
        let request = v1::IssueAnonymousTokenRequest::default();
        timed("IssueAnonymousToken", self.auth.issue_anonymous_token(request)).await
    }

    pub(super) async fn refresh(&mut self, refresh_token: &str, request_id: &str) -> Answered<v1::RefreshResponse> {
        let (refresh_token, request_id) = (refresh_token.to_owned(), request_id.to_owned());
        let request = v1::RefreshRequest { refresh_token, request_id, ..Default::default() };
        timed("Refresh", self.tokens.refresh(request)).await
    }

    pub(super) async fn introspect(&mut self, token: &str) -> Answered<v1::IntrospectResponse> {
        let request = v1::IntrospectRequest { token: token.to_owned(), ..Default::default() };
        let request = self.with_key(request);
        timed("Introspect", self.tokens.introspect(request)).await
    }

    pub(super) async fn revoke(&mut self, token: &str) -> Answered<v1::RevokeResponse> {
        let request = self.with_key(v1::RevokeRequest { token: token.to_owned(), ..Default::default() });
        timed("Revoke", self.tokens.revoke(request)).await
    }

    pub(super) async fn blacklist_session(&mut self, session_id: &str) -> Answered<v1::BlacklistResponse> {
        let target = Some(v1::blacklist_request::Target::SessionId(session_id.to_owned()));
        let request = v1::BlacklistRequest { target, reason: "countersign demo".to_owned(), ..Default::default() };
        let request = self.with_key(request);
        timed("Blacklist", self.tokens.blacklist(request)).await
    }

    fn with_key<T>(&self, message: T) -> Request<T> {
        with(message, Some(self.credential.clone()))
    }
}

/// A token or key, as it is shown. None where it can be neither.
fn bearer(token: &str) -> Option<MetadataValue<Ascii>> {
    let mut credential: MetadataValue<Ascii> = format!("Bearer {token}").parse().ok()?;
    credential.set_sensitive(true);
    Some(credential)
}

fn with<T>(message: T, credential: Option<MetadataValue<Ascii>>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(credential) = credential {
        request.metadata_mut().insert("authorization", credential);
    }
    request
}

async fn timed<T>(rpc: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Answered<T> {
    let start = Instant::now();
    let outcome = call.await;
    let took = start.elapsed();
    match outcome {
        Ok(response) => Ok(Answer { message: response.into_inner(), took }),
        Err(status) => {
            let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            let reason = reason.trim_start_matches("ERROR_REASON_").to_owned();
            Err(Refusal { sentence: explain(rpc, &reason, &status), reason, took })
        }
    }
}

/// What is wrong, and what to do about it.
fn explain(rpc: &str, reason: &str, status: &Status) -> String {
    match reason {
        "API_KEY_INVALID" => "the server does not know this API key; a development server prints one when it starts, \
             and `countersign caller create` makes others"
            .to_owned(),
        "PERMISSION_DENIED" => "this API key may not introspect and revoke; `countersign caller create --name demo \
             --permission introspect revoke` makes one that may"
            .to_owned(),
        "INVALID_CREDENTIALS" => "the code was not accepted: it is not the one that was sent, or it came too late; \
             start again to get another"
            .to_owned(),
        "RATE_LIMITED" => {
            let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
            format!("the server has seen too many of these; try again in {} s, or with another --phone", wait.as_secs())
        }
        "INVALID_FIELD" => {
            let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
            let faults: Vec<_> =
                violations.iter().map(|fault| format!("{} {}", fault.field, fault.description)).collect();
            format!("{rpc} was refused: {}", faults.join("; "))
        }
        "" if status.code() == Code::Unavailable => {
            format!("the server went away during {rpc}: {}", root_cause(status))
        }
        "" => format!("{rpc} was not answered the way Countersign does: {:?} {}", status.code(), status.message()),
        _ => format!("{rpc} was refused: {} ({reason})", status.message()),
    }
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
