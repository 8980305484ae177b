//! Countersign: an authentication service that other services talk to over gRPC.
//!
//! The way through it is short:
//!
//! ```text
//! listener → rpc (parse, one call, convert) → identity | session | credential | token | guard → store, cache, notify
//! ```
//!
//! - **The outside**: [`cli`] starts things, [`server`] listens, [`rpc`] speaks gRPC, [`http`] serves keys and health,
//!   [`jobs`] is what a node does by itself. [`app`] puts together what they share, [`health`] tells what of it works.
//! - **What it knows and decides**: [`session`] (signing in, and what follows), [`identity`] (accounts, visitors, callers),
//!   [`credential`] (codes and passwords), [`token`], [`guard`] and [`load`] (limits), [`gateway`] (what gateways ask).
//! - **What it stands on**: [`store`] is the database, [`cache`] what may be lost, [`notify`] the way of messages out,
//!   [`events`] the way of events out, [`connect`] outside systems that are asked.
//! - **What all of them use**: [`model`], [`config`], [`clock`], [`random`], [`secret`], [`root_key`], [`seal`],
//!   [`metrics`], [`breaker`], [`signature`], [`cors`].
//!
//! `docs/ARCHITECTURE.md` has the whole map, and walks through a login, a guided sign-in, a refresh and others.

pub mod app;
pub mod breaker;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod cors;
pub mod credential;
pub mod events;
pub mod gateway;
pub mod guard;
pub mod health;
pub mod http;
pub mod identity;
pub mod jobs;
pub mod load;
pub mod metrics;
pub mod model;
pub mod notify;
pub mod proto;
pub mod random;
pub mod root_key;
pub mod rpc;
pub mod seal;
pub mod secret;
pub mod server;
pub mod session;
pub mod shutdown;
pub mod signature;
pub mod store;
pub mod telemetry;
pub mod token;
pub mod upkeep;
