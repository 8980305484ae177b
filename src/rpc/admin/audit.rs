//! Who did what.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::app::App;
use crate::proto::v1;

pub(super) async fn list_audit_events(
    _app: &Arc<App>,
    _request: Request<v1::ListAuditEventsRequest>,
) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
    Err(crate::rpc::status::unknown_method())
}
