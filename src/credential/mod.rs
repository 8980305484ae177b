//! How people prove who they are. Owns codes; passwords will live beside them.

mod code;

pub use code::{Challenge, CodeError, Codes, Proof, RequestCode};
