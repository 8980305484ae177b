//! People's accounts: looked at by their owners and by operators. How operators change them is in `administration`.

use std::sync::Arc;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::clock::Clock;
use crate::credential::{PasswordError, Passwords, Unfit};
use crate::model::{Account, AccountId, Cause, Event};
use crate::root_key::MacKey;
use crate::store::{AccountChange, AccountConflict, AccountFilter, EventFilter, Store, StoreError};
use crate::token::{Keyring, Revocations};

/// The accounts of this installation.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Where they are kept.
    pub store: Store,
    /// Hashes their passwords.
    pub passwords: Passwords,
    /// Makes stop to count what they were issued.
    pub revocations: Arc<Revocations>,
    /// Knows how long that could last.
    pub keyring: Arc<Keyring>,
    /// Digests intents.
    pub intents: MacKey,
    /// The time.
    pub clock: Clock,
}

/// What people may change about themselves; what is absent stays. There is no place in it for anything that is granted.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The language of messages.
    pub locale: Option<String>,
    /// What services keep with the account, as a whole.
    pub metadata: Option<Map<String, Value>>,
    /// The members of it that only operators set.
    pub kept_members: Vec<String>,
}

/// Why an account was neither shown nor changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none with this identifier.
    #[error("there is no such account")]
    NotFound,
    /// Another account has the phone number or the mail address.
    #[error("another account has this phone number or mail address")]
    IdentifierTaken,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// The password may not be one.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AccountConflict> for AccountError {
    fn from(conflict: AccountConflict) -> Self {
        match conflict {
            AccountConflict::IdentifierTaken => Self::IdentifierTaken,
            AccountConflict::IntentReused => Self::IntentReused,
        }
    }
}

impl Accounts {
    /// The account with this identifier.
    pub async fn profile(&self, id: AccountId) -> Result<Account, AccountError> {
        self.store.account(id).await?.ok_or(AccountError::NotFound)
    }

    /// Changes what its owner may change.
    pub async fn update_profile(&self, id: AccountId, new: Profile, cause: &Cause) -> Result<Account, AccountError> {
        let Profile { first_name, last_name, locale, metadata, kept_members } = new;
        let change = AccountChange { first_name, last_name, locale, metadata, kept_members, roles: None };
        self.store.change_account(id, &change, Some(cause.at), cause).await?.ok_or(AccountError::NotFound)
    }

    /// Accounts that a filter lets through, the latest created first, from below a cursor.
    pub async fn list(
        &self,
        filter: &AccountFilter,
        below: Option<AccountId>,
        limit: i64,
    ) -> Result<Vec<Account>, AccountError> {
        Ok(self.store.accounts_where(filter, below, limit, self.clock.now()).await?)
    }

    /// Who did what, newest first, from below a cursor.
    pub async fn events(
        &self,
        filter: &EventFilter,
        below: Option<Uuid>,
        limit: i64,
    ) -> Result<Vec<Event>, AccountError> {
        Ok(self.store.events_where(filter, below, limit).await?)
    }
}
