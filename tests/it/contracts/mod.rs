//! What a backend promises, held against every one of them.

mod cache;
mod store;
