//! Countersign: an authentication service that other services talk to over gRPC.

pub mod cache;
pub mod clock;
pub mod config;
pub mod model;
pub mod proto;
pub mod random;
pub mod root_key;
pub mod secret;
pub mod store;
pub mod token;
