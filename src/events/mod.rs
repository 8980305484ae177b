//! Telling other systems what happened. Owns the relay, which takes events out of the outbox and delivers them, the form that
//! they have on the way (`catalogue`), and who gets them (`destination`). What happened is written down by `store`, in the
//! transaction that makes it so; no request ever waits for anything here.

mod catalogue;
mod deliver;
mod destination;
mod nextcloud;
mod rabbitmq;
mod relay;
pub mod webhooks;

pub use self::catalogue::Envelope;
pub use self::deliver::{Batch, Limits, Waits};
pub use self::destination::{Destination, Failure};
pub use self::nextcloud::Cloud;
pub use self::rabbitmq::Broker;
pub use self::relay::Relay;
