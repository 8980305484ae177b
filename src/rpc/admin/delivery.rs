//! Events that have not arrived somewhere.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::cause;
use crate::app::App;
use crate::model::DeliveryState;
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, name_of, page};
use crate::store::DeliveryFilter;

/// No destination's name is longer.
const LONGEST_NAME: usize = 64;
/// How many events may be named at a time.
const MOST_EVENTS: usize = 1_000;

pub(super) async fn list_deliveries(
    app: &Arc<App>,
    request: Request<v1::ListDeliveriesRequest>,
) -> Result<Response<v1::ListDeliveriesResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let destination = faults.text("destination", &message.destination, LONGEST_NAME);
    let state = match v1::DeliveryState::try_from(message.state) {
        Ok(v1::DeliveryState::Unspecified) => None,
        Ok(v1::DeliveryState::Pending) => Some(DeliveryState::Pending),
        Ok(v1::DeliveryState::Dead) => Some(DeliveryState::Dead),
        Err(_) => {
            faults.add("state", "is unknown");
            None
        }
    };
    let size = faults.page_size(message.page_size);
    let behind = faults.page_token(&message.page_token, read_cursor);
    faults.none()?;
    let filter = DeliveryFilter { destination: Some(destination).filter(|name| !name.is_empty()), state };
    let behind = behind.as_ref().map_or(("", i64::MIN), |(name, seq)| (name.as_str(), *seq));
    let found = app.store.deliveries_where(&filter, behind, i64::from(size) + 1).await?;
    let (deliveries, next_page_token) =
        page(found, size, |last| [&last.seq.to_be_bytes()[..], last.destination.as_bytes()].concat());
    Ok(Response::new(v1::ListDeliveriesResponse {
        deliveries: deliveries.into_iter().map(convert::delivery).collect(),
        next_page_token,
    }))
}

/// A number, and a destination's name behind it.
fn read_cursor(cursor: &[u8]) -> Option<(String, i64)> {
    let (seq, name) = cursor.split_first_chunk()?;
    let name = name_of(name)?;
    Some((name, i64::from_be_bytes(*seq)))
}

pub(super) async fn replay_deliveries(
    app: &Arc<App>,
    request: Request<v1::ReplayDeliveriesRequest>,
) -> Result<Response<v1::ReplayDeliveriesResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let destination = faults.text("destination", &message.destination, LONGEST_NAME);
    if message.destination.is_empty() {
        faults.add("destination", "must say where");
    }
    let mut events: Vec<Uuid> = Vec::new();
    if message.event_ids.len() > MOST_EVENTS {
        faults.add("event_ids", format_args!("must be at most {MOST_EVENTS}"));
    } else {
        let read = message.event_ids.iter().enumerate();
        events.extend(read.filter_map(|(at, id)| match Uuid::try_parse(id) {
            Ok(id) => Some(id),
            Err(_) => {
                faults.add(&format!("event_ids[{at}]"), "must be a UUID");
                None
            }
        }));
    }
    faults.none()?;
    let replayed = app.store.replay_deliveries(&destination, &events, &cause).await?;
    Ok(Response::new(v1::ReplayDeliveriesResponse { replayed }))
}
