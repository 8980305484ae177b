//! `AccountService`: one's own account.

mod departure;
mod identifier;
mod identity;
mod profile;
mod session;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;
use crate::proto::v1::account_service_server::AccountService;

#[derive(Debug)]
pub(super) struct Accounts(pub(super) Arc<App>);

#[tonic::async_trait]
impl AccountService for Accounts {
    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        profile::get_profile(&self.0, request).await
    }

    async fn update_profile(
        &self,
        request: Request<v1::UpdateProfileRequest>,
    ) -> Result<Response<v1::UpdateProfileResponse>, Status> {
        profile::update_profile(&self.0, request).await
    }

    async fn change_identifier(
        &self,
        request: Request<v1::ChangeIdentifierRequest>,
    ) -> Result<Response<v1::ChangeIdentifierResponse>, Status> {
        identifier::change_identifier(&self.0, request).await
    }

    async fn verify_identity(
        &self,
        request: Request<v1::VerifyIdentityRequest>,
    ) -> Result<Response<v1::VerifyIdentityResponse>, Status> {
        identity::verify_identity(&self.0, request).await
    }

    async fn delete_account(
        &self,
        request: Request<v1::DeleteAccountRequest>,
    ) -> Result<Response<v1::DeleteAccountResponse>, Status> {
        departure::delete_account(&self.0, request).await
    }

    async fn list_sessions(
        &self,
        request: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        session::list_sessions(&self.0, request).await
    }

    async fn revoke_session(
        &self,
        request: Request<v1::RevokeSessionRequest>,
    ) -> Result<Response<v1::RevokeSessionResponse>, Status> {
        session::revoke_session(&self.0, request).await
    }
}
