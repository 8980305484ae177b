//! Who is who: the people behind accounts, visitors without one, and the services and gateways that call.

mod account;
mod administration;
mod caller;
mod import;
mod owner;
mod verification;
mod visitor;

pub use account::{AccountError, Accounts, Profile};
pub use administration::NewPerson;
pub use caller::{API_KEY_PREFIX, CallerError, Callers};
pub use import::{Imports, Record, Unfit};
pub use owner::{OwnerError, Owners};
pub use verification::{VerificationError, Verifications};
pub use visitor::{VisitorError, Visitors};
