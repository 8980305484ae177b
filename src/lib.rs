//! Countersign: an authentication service that other services talk to over gRPC.
//!
//! The way through it is short:
//!
//! ```text
//! listener → rpc (parse, one call, convert) → identity | session | credential | token | guard → store, cache, notify
//! ```
//!
//! `docs/ARCHITECTURE.md` has the map, and walks through a login, a refresh and an introspection.

pub mod app;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod guard;
pub mod health;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod model;
pub mod notify;
pub mod proto;
pub mod random;
pub mod root_key;
pub mod rpc;
pub mod secret;
pub mod server;
pub mod session;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod token;
