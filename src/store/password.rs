//! Passwords' hashes: found, and replaced where they still are what they were.

use super::{Store, StoreError, on_pool};
use crate::model::{Account, AccountId, Identifier};
use crate::secret::Secret;

/// Those who may be meant by an identifier, its owner first.
macro_rules! claimants {
    ($proved:literal, $claimed:literal) => {
        concat!(
            "SELECT * FROM accounts WHERE ",
            $proved,
            " = $1 OR ",
            $claimed,
            " = $1 ORDER BY CASE WHEN ",
            $proved,
            " = $1 THEN 0 ELSE 1 END LIMIT 2"
        )
    };
}

impl Store {
    /// Whom a password belongs to that is sent with an identifier: the identifier's owner, and where nobody has proved to
    /// own it, the only one who says so. One statement, so that all cases take the same time.
    pub async fn account_for_password(&self, identifier: &Identifier) -> Result<Option<Account>, StoreError> {
        let statement = match identifier {
            Identifier::Phone(_) => claimants!("phone", "claimed_phone"),
            Identifier::Email(_) => claimants!("email", "claimed_email"),
        };
        let found: Vec<Account> = on_pool!(self, pool => sqlx::query_as(statement)
            .bind(identifier.as_str())
            .fetch_all(pool)
            .await)?;
        let is_owner = |account: &Account| match identifier {
            Identifier::Phone(phone) => account.phone.as_ref() == Some(phone),
            Identifier::Email(email) => account.email.as_ref() == Some(email),
        };
        let is_clear = found.len() == 1 || found.first().is_some_and(is_owner);
        Ok(found.into_iter().next().filter(|_| is_clear))
    }

    /// Replaces a hash by another of the same password, unless the password has been changed.
    pub async fn upgrade_password(
        &self,
        account: AccountId,
        old: &Secret<String>,
        new: &str,
    ) -> Result<bool, StoreError> {
        let updated = on_pool!(self, pool => sqlx::query(
                "UPDATE accounts SET password_hash = $3 WHERE id = $1 AND password_hash = $2")
            .bind(account.0).bind(old.expose()).bind(new)
            .execute(pool).await.map(|done| done.rows_affected()))?;
        Ok(updated == 1)
    }
}
