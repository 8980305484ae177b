//! People's accounts.

use serde_json::{Map, Value};

use crate::model::{Account, AccountId, Cause};
use crate::store::{AccountChange, Store, StoreError};

/// The accounts of this installation.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: Store,
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
}

/// Why there is no account to show.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none with this identifier.
    #[error("there is no such account")]
    NotFound,
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Looks into `store`.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// The account with this identifier.
    pub async fn profile(&self, id: AccountId) -> Result<Account, AccountError> {
        self.store.account(id).await?.ok_or(AccountError::NotFound)
    }

    /// Changes what its owner may change.
    pub async fn update_profile(&self, id: AccountId, new: Profile, cause: &Cause) -> Result<Account, AccountError> {
        let Profile { first_name, last_name, locale, metadata } = new;
        let change = AccountChange { first_name, last_name, locale, metadata, roles: None };
        self.store.change_account(id, &change, Some(cause.at), cause).await?.ok_or(AccountError::NotFound)
    }
}
