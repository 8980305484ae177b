//! Who gets through, and with what: tokens that are checked and tokens that are forged, who may call what, the edge towards
//! the network, health, and the command line.

mod accounts;
mod attacks;
mod floods;
mod foreign;
mod forge;
mod health;
mod introspection;
mod keys;
mod kinds;
mod operating;
mod policy;
mod probing;
mod program;
mod raw;
mod refusals;
mod sizes;
mod tls;
mod verifier;
mod web;
