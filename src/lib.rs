//! Countersign: an authentication service that other services talk to over gRPC.

pub mod clock;
pub mod model;
pub mod proto;
pub mod random;
pub mod secret;
pub mod store;
