//! Having it confirmed who one is.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn verify_identity(
    _app: &Arc<App>,
    _request: Request<v1::VerifyIdentityRequest>,
) -> Result<Response<v1::VerifyIdentityResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
