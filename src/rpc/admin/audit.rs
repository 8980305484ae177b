//! Who did what.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::App;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, page};

pub(super) async fn list_audit_events(
    app: &Arc<App>,
    request: Request<v1::ListAuditEventsRequest>,
) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let filter = faults.event_filter(message.filter.as_ref());
    let size = faults.page_size(message.page_size);
    let below = faults.page_token(&message.page_token, |cursor| Uuid::from_slice(cursor).ok());
    faults.none()?;
    let found = app.accounts.events(&filter, below, i64::from(size) + 1).await?;
    let (events, next_page_token) = page(found, size, |last| last.id.as_bytes().to_vec());
    Ok(Response::new(v1::ListAuditEventsResponse {
        events: events.into_iter().map(convert::event).collect(),
        next_page_token,
    }))
}
