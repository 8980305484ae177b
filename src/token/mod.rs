//! Access tokens and the keys they are signed with: the part that is all computation.

mod json;

pub use json::{JsonError, MAX_DEPTH, parse_object};
