//! Accounts.

use super::{Store, StoreError, on_pool};
use crate::model::{Account, AccountId};

impl Store {
    /// The account with this identifier.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let account = on_pool!(self, pool => sqlx::query_as("SELECT * FROM accounts WHERE id = $1")
            .bind(id.0)
            .fetch_optional(pool)
            .await)?;
        Ok(account)
    }

    /// Whether anybody has signed up with this phone number or mail address.
    pub async fn is_known(&self, phone_or_email: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT CAST(1 AS BIGINT) FROM accounts WHERE phone = $1 OR email = $1")
            .bind(phone_or_email)
            .fetch_optional(pool)
            .await)?;
        Ok(found.is_some())
    }
}
