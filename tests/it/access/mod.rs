//! Who gets through, and with what: tokens that are checked and tokens that are forged, who may call what, the edge towards
//! the network, health, and the command line.

mod accounts;
mod attacks;
mod connections;
mod floods;
mod foreign;
mod forge;
mod frames;
mod health;
mod introspection;
mod keys;
mod kinds;
mod load;
mod operating;
mod policy;
pub(crate) mod probing;
mod program;
pub(crate) mod raw;
mod refusals;
mod sizes;
mod tls;
mod verifier;
mod web;
mod webhooks;

/// What a token says.
pub(crate) fn claims(token: &str) -> serde_json::Value {
    forge::parts(token).claims
}
