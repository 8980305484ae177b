//! People's accounts.

use crate::model::{Account, AccountId};
use crate::store::{Store, StoreError};

/// The accounts of this installation.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: Store,
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
}
