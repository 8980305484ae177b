//! Who is who: the people behind accounts, and the services and gateways that call.

mod account;
mod caller;

pub use account::{AccountError, Accounts};
pub use caller::{API_KEY_PREFIX, CallerError, Callers};
