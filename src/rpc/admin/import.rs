//! Accounts brought over from elsewhere.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn import_accounts(
    _app: &Arc<App>,
    _request: Request<tonic::Streaming<v1::ImportAccountsRequest>>,
) -> Result<Response<v1::ImportAccountsResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
