//! Outside systems that are asked and whose answers count. Owns how they are asked: within a time, up to a size, following
//! no redirects, and not at all while they keep failing. What their answers mean for an account is left to `identity` and
//! `events`.

mod exchange;
mod identity;
mod nextcloud;

pub use self::exchange::SetupError;
pub use self::identity::{Finding, IdentityProvider, Input, ProviderError};
pub use self::nextcloud::{CloudError, CloudTrouble, CloudUser, Creation, Field, Folder, NewCloudUser, Nextcloud};
