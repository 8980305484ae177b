//! Accounts.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Account, AccountId, Cause, EventKind, Roles};

/// What is to be changed about an account; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct AccountChange {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// The language of messages.
    pub locale: Option<String>,
    /// What services keep with it, as a whole.
    pub metadata: Option<Map<String, Value>>,
    /// What the person may do.
    pub roles: Option<Roles>,
}

impl AccountChange {
    /// The names of what changes, with commas between.
    #[must_use]
    pub fn names(&self) -> String {
        let all = [
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("locale", self.locale.is_some()),
            ("metadata", self.metadata.is_some()),
            ("roles", self.roles.is_some()),
        ];
        let changed: Vec<_> = all.into_iter().filter(|(_, changes)| *changes).map(|(name, _)| name).collect();
        changed.join(",")
    }
}

/// What every statement demands of an account whose owner acts, at the time that the placeholder stands for.
macro_rules! usable {
    ($at:literal) => {
        concat!(" (state = 'active' OR (state = 'blocked' AND blocked_until <= ", $at, "))")
    };
}

impl Store {
    /// The account with this identifier.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let account = on_pool!(self, pool => sqlx::query_as("SELECT * FROM accounts WHERE id = $1")
            .bind(id.0)
            .fetch_optional(pool)
            .await)?;
        Ok(account)
    }

    /// Changes an account that has not been deleted; where a time is given, only if it may be used then.
    pub async fn change_account(
        &self,
        id: AccountId,
        change: &AccountChange,
        usable_at: Option<DateTime<Utc>>,
        cause: &Cause,
    ) -> Result<Option<Account>, StoreError> {
        const STATEMENT: &str = concat!(
            "UPDATE accounts SET first_name = COALESCE($2, first_name), last_name = COALESCE($3, last_name),
                 locale = COALESCE($4, locale), metadata = COALESCE($5, metadata), roles = COALESCE($6, roles)
             WHERE id = $1 AND state <> 'deleted' AND ($7 IS NULL OR",
            usable!("$7"),
            ") RETURNING *"
        );
        let cause = Cause { detail: change.names(), ..cause.clone() };
        let metadata = change.metadata.clone().map(|members| Value::Object(members).to_string());
        in_transaction!(self, tx => {
            let account: Option<Account> = sqlx::query_as(STATEMENT)
                .bind(id.0).bind(change.first_name.as_deref()).bind(change.last_name.as_deref())
                .bind(change.locale.as_deref()).bind(metadata.as_deref())
                .bind(change.roles.as_ref().map(ToString::to_string)).bind(usable_at)
                .fetch_optional(&mut *tx).await?;
            if account.is_some() {
                record_event!(tx, EventKind::AccountUpdated, &cause, Some(id), None);
            }
            Ok(account)
        })
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
