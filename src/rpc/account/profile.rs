//! Who one is, and what can be changed about it.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::peer::Peer;

pub(super) async fn get_profile(
    app: &Arc<App>,
    request: Request<v1::GetProfileRequest>,
) -> Result<Response<v1::GetProfileResponse>, Status> {
    let owner = Peer::of(&request)?.person()?.sub;
    let account = app.accounts.profile(owner).await?;
    Ok(Response::new(v1::GetProfileResponse { account: Some(convert::account(account, app.clock.now())) }))
}

pub(super) async fn update_profile(
    _app: &Arc<App>,
    _request: Request<v1::UpdateProfileRequest>,
) -> Result<Response<v1::UpdateProfileResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn change_identifier(
    _app: &Arc<App>,
    _request: Request<v1::ChangeIdentifierRequest>,
) -> Result<Response<v1::ChangeIdentifierResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn delete_account(
    _app: &Arc<App>,
    _request: Request<v1::DeleteAccountRequest>,
) -> Result<Response<v1::DeleteAccountResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
