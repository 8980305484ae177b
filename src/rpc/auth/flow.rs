//! Signing in step by step.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn begin_sign_in(
    _app: &Arc<App>,
    _request: Request<v1::BeginSignInRequest>,
) -> Result<Response<v1::BeginSignInResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn continue_sign_in(
    _app: &Arc<App>,
    _request: Request<v1::ContinueSignInRequest>,
) -> Result<Response<v1::ContinueSignInResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
