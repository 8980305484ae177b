//! People's sessions, as operators see them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn list_account_sessions(
    _app: &Arc<App>,
    _request: Request<v1::ListAccountSessionsRequest>,
) -> Result<Response<v1::ListAccountSessionsResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}

pub(super) async fn revoke_account_sessions(
    _app: &Arc<App>,
    _request: Request<v1::RevokeAccountSessionsRequest>,
) -> Result<Response<v1::RevokeAccountSessionsResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
