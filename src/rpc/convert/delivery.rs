//! Events that have not arrived somewhere, as operators are shown them.

use super::timestamp;
use crate::model::{Delivery, DeliveryState};
use crate::proto::v1;

pub(in crate::rpc) fn delivery(delivery: Delivery) -> v1::Delivery {
    let state = match delivery.state {
        DeliveryState::Pending => v1::DeliveryState::Pending,
        DeliveryState::Dead => v1::DeliveryState::Dead,
    };
    v1::Delivery {
        destination: delivery.destination,
        event_id: delivery.event_id.to_string(),
        kind: delivery.kind,
        at: Some(timestamp(delivery.at)),
        account_id: delivery.account_id.map(|id| id.to_string()).unwrap_or_default(),
        state: state.into(),
        attempts: i32::try_from(delivery.attempts).unwrap_or(i32::MAX),
        due_at: Some(timestamp(delivery.due_at)),
        last_error: delivery.last_error,
    }
}
