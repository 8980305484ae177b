//! Passwords, changed and set anew.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn change_password(
    _app: &Arc<App>,
    _request: Request<v1::ChangePasswordRequest>,
) -> Result<Response<v1::ChangePasswordResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn request_password_reset(
    _app: &Arc<App>,
    _request: Request<v1::RequestPasswordResetRequest>,
) -> Result<Response<v1::RequestPasswordResetResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn reset_password(
    _app: &Arc<App>,
    _request: Request<v1::ResetPasswordRequest>,
) -> Result<Response<v1::ResetPasswordResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
