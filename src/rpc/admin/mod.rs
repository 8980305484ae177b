//! `AdminService`: for operators.

mod account;
mod audit;
mod caller;
mod delivery;
mod import;
mod job;
mod session;
mod upkeep;
mod webhook;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::peer::Peer;
use crate::app::App;
use crate::model::{Cause, RequestId};
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;

#[derive(Debug)]
pub(super) struct Admin(pub(super) Arc<App>);

/// The circumstances of what an operator does.
fn cause<T>(app: &App, request: &Request<T>) -> Result<Cause, Status> {
    Ok(Peer::of(request)?.cause(app.clock.now()))
}

/// The same under the name of the intent, where the message has one; else what the metadata say stays.
fn named(cause: Cause, request_id: Option<RequestId>) -> Cause {
    match request_id {
        Some(id) => Cause { request_id: id.to_string(), ..cause },
        None => cause,
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_accounts(
        &self,
        request: Request<v1::ListAccountsRequest>,
    ) -> Result<Response<v1::ListAccountsResponse>, Status> {
        account::list_accounts(&self.0, request).await
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        account::get_account(&self.0, request).await
    }

    async fn create_account(
        &self,
        request: Request<v1::CreateAccountRequest>,
    ) -> Result<Response<v1::CreateAccountResponse>, Status> {
        account::create_account(&self.0, request).await
    }

    async fn update_account(
        &self,
        request: Request<v1::UpdateAccountRequest>,
    ) -> Result<Response<v1::UpdateAccountResponse>, Status> {
        account::update_account(&self.0, request).await
    }

    async fn block_account(
        &self,
        request: Request<v1::BlockAccountRequest>,
    ) -> Result<Response<v1::BlockAccountResponse>, Status> {
        account::block_account(&self.0, request).await
    }

    async fn unblock_account(
        &self,
        request: Request<v1::UnblockAccountRequest>,
    ) -> Result<Response<v1::UnblockAccountResponse>, Status> {
        account::unblock_account(&self.0, request).await
    }

    async fn delete_account(
        &self,
        request: Request<v1::AdminServiceDeleteAccountRequest>,
    ) -> Result<Response<v1::AdminServiceDeleteAccountResponse>, Status> {
        account::delete_account(&self.0, request).await
    }

    async fn import_accounts(
        &self,
        request: Request<tonic::Streaming<v1::ImportAccountsRequest>>,
    ) -> Result<Response<v1::ImportAccountsResponse>, Status> {
        import::import_accounts(&self.0, request).await
    }

    async fn list_account_sessions(
        &self,
        request: Request<v1::ListAccountSessionsRequest>,
    ) -> Result<Response<v1::ListAccountSessionsResponse>, Status> {
        session::list_account_sessions(&self.0, request).await
    }

    async fn revoke_account_sessions(
        &self,
        request: Request<v1::RevokeAccountSessionsRequest>,
    ) -> Result<Response<v1::RevokeAccountSessionsResponse>, Status> {
        session::revoke_account_sessions(&self.0, request).await
    }

    async fn list_audit_events(
        &self,
        request: Request<v1::ListAuditEventsRequest>,
    ) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
        audit::list_audit_events(&self.0, request).await
    }

    async fn create_caller(
        &self,
        request: Request<v1::CreateCallerRequest>,
    ) -> Result<Response<v1::CreateCallerResponse>, Status> {
        caller::create_caller(&self.0, request).await
    }

    async fn list_callers(
        &self,
        request: Request<v1::ListCallersRequest>,
    ) -> Result<Response<v1::ListCallersResponse>, Status> {
        caller::list_callers(&self.0, request).await
    }

    async fn rotate_caller_key(
        &self,
        request: Request<v1::RotateCallerKeyRequest>,
    ) -> Result<Response<v1::RotateCallerKeyResponse>, Status> {
        caller::rotate_caller_key(&self.0, request).await
    }

    async fn delete_caller(
        &self,
        request: Request<v1::DeleteCallerRequest>,
    ) -> Result<Response<v1::DeleteCallerResponse>, Status> {
        caller::delete_caller(&self.0, request).await
    }

    async fn list_signing_keys(
        &self,
        request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        upkeep::list_signing_keys(&self.0, request).await
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        upkeep::rotate_signing_key(&self.0, request).await
    }

    async fn purge_expired(
        &self,
        request: Request<v1::PurgeExpiredRequest>,
    ) -> Result<Response<v1::PurgeExpiredResponse>, Status> {
        job::purge_expired(&self.0, request).await
    }

    async fn list_jobs(&self, request: Request<v1::ListJobsRequest>) -> Result<Response<v1::ListJobsResponse>, Status> {
        job::list_jobs(&self.0, request).await
    }

    async fn run_job(&self, request: Request<v1::RunJobRequest>) -> Result<Response<v1::RunJobResponse>, Status> {
        job::run_job(&self.0, request).await
    }
    async fn create_webhook(
        &self,
        request: Request<v1::CreateWebhookRequest>,
    ) -> Result<Response<v1::CreateWebhookResponse>, Status> {
        webhook::create_webhook(&self.0, request).await
    }

    async fn list_webhooks(
        &self,
        request: Request<v1::ListWebhooksRequest>,
    ) -> Result<Response<v1::ListWebhooksResponse>, Status> {
        webhook::list_webhooks(&self.0, request).await
    }

    async fn delete_webhook(
        &self,
        request: Request<v1::DeleteWebhookRequest>,
    ) -> Result<Response<v1::DeleteWebhookResponse>, Status> {
        webhook::delete_webhook(&self.0, request).await
    }

    async fn enable_webhook(
        &self,
        request: Request<v1::EnableWebhookRequest>,
    ) -> Result<Response<v1::EnableWebhookResponse>, Status> {
        webhook::enable_webhook(&self.0, request).await
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<v1::RotateWebhookSecretRequest>,
    ) -> Result<Response<v1::RotateWebhookSecretResponse>, Status> {
        webhook::rotate_webhook_secret(&self.0, request).await
    }

    async fn list_deliveries(
        &self,
        request: Request<v1::ListDeliveriesRequest>,
    ) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
        delivery::list_deliveries(&self.0, request).await
    }

    async fn replay_deliveries(
        &self,
        request: Request<v1::ReplayDeliveriesRequest>,
    ) -> Result<Response<v1::ReplayDeliveriesResponse>, Status> {
        delivery::replay_deliveries(&self.0, request).await
    }
}
