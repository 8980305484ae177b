//! What the service speaks of: plain data and the types that say what was checked. No I/O, no policy.

mod account;
mod birth_date;
mod call;
mod caller;
mod claim;
mod client;
mod country;
mod delivery;
mod digits;
mod email;
mod event;
mod id;
mod identifier;
mod identity;
mod job;
mod kind_filter;
mod locale;
mod message;
mod name;
mod national_id;
mod numbering;
mod phone;
mod region;
mod session;
mod signing_key;
mod webhook;

pub use account::{Account, AccountState, Identity, InvalidRole, Role, Roles};
pub use birth_date::{BirthDate, InvalidBirthDate};
pub use call::CallId;
pub use caller::{
    Caller, CallerName, CertificateName, InvalidCallerName, InvalidCertificateName, Permission, Permissions,
};
pub use claim::{ClaimRule, Facts, InvalidClaimRule};
pub use client::{ClientContext, Network};
pub use countersign_token::{Algorithm, LEEWAY_LIMIT, Revocation, Target};
pub use delivery::{Delivery, DeliveryState, UnknownDeliveryState};
pub use digits::digit;
pub use email::{EmailAddress, InvalidEmail};
pub use event::{Actor, Cause, Event, EventKind, UnknownEventKind};
pub use id::{AccountId, CallerId, ChallengeId, InvalidId, RequestId, SessionId, TokenId, WebhookId};
pub use identifier::Identifier;
pub use identity::{IdentitySource, InvalidIdentitySource, VerifiedIdentity};
pub use job::{Job, JobRecord, Run, RunOutcome, UnknownJob};
pub use kind_filter::{KindFilter, UnknownKind};
pub use locale::{InvalidLocale, Locale};
pub use message::{Channel, Content, Message, Purpose};
pub use name::{InvalidName, parse_name};
pub use national_id::{InvalidNationalId, NationalId};
pub use phone::{InvalidPhone, Phone};
pub use region::{InvalidRegion, Region};
pub use session::{EndReason, Session};
pub use signing_key::{KeyState, SigningKey};
pub use webhook::{InvalidWebhookName, Webhook, WebhookName, destination};
