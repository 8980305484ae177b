//! What the service speaks of: plain data and the types that say what was checked. No I/O, no policy.

mod account;
mod birth_date;
mod caller;
mod client;
mod digits;
mod email;
mod event;
mod id;
mod identifier;
mod identity;
mod message;
mod national_id;
mod numbering;
mod phone;
mod region;
mod revocation;
mod session;
mod signing_key;

pub use account::{Account, AccountState, Identity, Roles};
pub use birth_date::{BirthDate, InvalidBirthDate};
pub use caller::{Caller, CallerName, InvalidCallerName, Permission, Permissions};
pub use client::{ClientContext, Network};
pub use digits::digit;
pub use email::{EmailAddress, InvalidEmail};
pub use event::{Actor, Cause, EventKind};
pub use id::{AccountId, CallerId, ChallengeId, InvalidId, RequestId, SessionId, TokenId};
pub use identifier::Identifier;
pub use identity::{IdentitySource, InvalidIdentitySource, VerifiedIdentity};
pub use message::{Channel, CodeMessage, Purpose};
pub use national_id::{InvalidNationalId, NationalId};
pub use phone::{InvalidPhone, Phone};
pub use region::{InvalidRegion, Region};
pub use revocation::{LEEWAY_LIMIT, Revocation, Target};
pub use session::{EndReason, Session};
pub use signing_key::{Algorithm, KeyState, SigningKey};
