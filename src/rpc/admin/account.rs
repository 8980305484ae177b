//! People's accounts, as operators see them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn list_accounts(
    _app: &Arc<App>,
    _request: Request<v1::ListAccountsRequest>,
) -> Result<Response<v1::ListAccountsResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn get_account(
    _app: &Arc<App>,
    _request: Request<v1::GetAccountRequest>,
) -> Result<Response<v1::GetAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn create_account(
    _app: &Arc<App>,
    _request: Request<v1::CreateAccountRequest>,
) -> Result<Response<v1::CreateAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn update_account(
    _app: &Arc<App>,
    _request: Request<v1::UpdateAccountRequest>,
) -> Result<Response<v1::UpdateAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn block_account(
    _app: &Arc<App>,
    _request: Request<v1::BlockAccountRequest>,
) -> Result<Response<v1::BlockAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn unblock_account(
    _app: &Arc<App>,
    _request: Request<v1::UnblockAccountRequest>,
) -> Result<Response<v1::UnblockAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn delete_account(
    _app: &Arc<App>,
    _request: Request<v1::AdminServiceDeleteAccountRequest>,
) -> Result<Response<v1::AdminServiceDeleteAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
