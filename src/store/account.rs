//! Accounts: looked up, opened by an operator, changed.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::event::record_event;
use super::{Intent, NewAccount, Store, StoreError, in_transaction, on_pool};
use crate::model::{Account, AccountId, Cause, EmailAddress, EventKind, Identifier, Phone, Roles};

/// An account that an operator opens. Its identifiers count as proved.
#[derive(Clone, Debug)]
pub struct CreateAccount<'a> {
    /// What it will be.
    pub account: NewAccount,
    /// Its phone number.
    pub phone: Option<&'a Phone>,
    /// Its mail address.
    pub email: Option<&'a EmailAddress>,
    /// Its roles.
    pub roles: &'a Roles,
    /// What makes a repetition recognisable.
    pub intent: Option<Intent>,
    /// Under which circumstances.
    pub cause: &'a Cause,
}

/// Why no account was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountConflict {
    /// Another account has the phone number or the mail address.
    IdentifierTaken,
    /// The intent's name was used for something else.
    IntentReused,
}

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
    /// The members of the metadata that stay as they are, whatever is said of them.
    pub kept_members: Vec<String>,
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

/// Finds the account that an earlier try of an intent opened.
macro_rules! created_before {
    ($executor:expr, $intent:expr) => {{
        let intent: Intent = $intent;
        // With the person the digest is erased, because it is one of all that was said of them, the password included.
        let digest: Option<(Option<Vec<u8>>,)> =
            sqlx::query_as("SELECT created_with FROM accounts WHERE created_by = $1")
                .bind(intent.request_id.0)
                .fetch_optional(&mut *$executor)
                .await?;
        match digest {
            None => None,
            Some((Some(digest),)) if digest != intent.digest => Some(Err(AccountConflict::IntentReused)),
            Some(_) => {
                let account: Account = sqlx::query_as("SELECT * FROM accounts WHERE created_by = $1")
                    .bind(intent.request_id.0)
                    .fetch_one(&mut *$executor)
                    .await?;
                Some(Ok(account))
            }
        }
    }};
}
pub(super) use usable;

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
        in_transaction!(self, tx => {
            let mut metadata = change.metadata.clone();
            if let Some(members) = metadata.as_mut().filter(|_| !change.kept_members.is_empty()) {
                // Locks the account, so that what an operator sets at this moment is what is kept.
                let before: Option<Account> = sqlx::query_as("UPDATE accounts SET metadata = metadata WHERE id = $1 RETURNING *")
                    .bind(id.0)
                    .fetch_optional(&mut *tx).await?;
                let before = before.map(|account| account.metadata).unwrap_or_default();
                members.retain(|name, _| !change.kept_members.contains(name));
                members.extend(before.into_iter().filter(|(name, _)| change.kept_members.contains(name)));
            }
            let metadata = metadata.map(|members| Value::Object(members).to_string());
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

    /// The language of whoever has proved to own this, which may be empty; none where nobody has.
    pub async fn locale_of(&self, identifier: &Identifier) -> Result<Option<String>, StoreError> {
        let found: Option<(String,)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT locale FROM accounts WHERE phone = $1 OR email = $1")
            .bind(identifier.as_str())
            .fetch_optional(pool)
            .await)?;
        Ok(found.map(|(locale,)| locale))
    }

    /// The account that an earlier try of the same intent opened, if there was one.
    pub async fn created_before(&self, intent: Intent) -> Result<Option<Result<Account, AccountConflict>>, StoreError> {
        in_transaction!(self, tx => Ok(created_before!(tx, intent)))
    }

    /// Opens an account for somebody who is not there. The same intent opens one account, however often it tries.
    pub async fn create_account(&self, new: CreateAccount<'_>) -> Result<Result<Account, AccountConflict>, StoreError> {
        let account = &new.account;
        in_transaction!(self, tx => {
            let created: Option<Account> = sqlx::query_as(
                "INSERT INTO accounts (id, phone, email, first_name, last_name, roles, locale, metadata, password_hash,
                     created_at, created_by, created_with)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING RETURNING *")
                .bind(account.id.0)
                .bind(new.phone.map(Phone::as_str)).bind(new.email.map(EmailAddress::as_str))
                .bind(&account.first_name).bind(&account.last_name)
                .bind(new.roles.to_string()).bind(&account.locale)
                .bind(Value::Object(account.metadata.clone()).to_string())
                .bind(account.password_hash.as_ref().map(|hash| hash.expose().as_str()))
                .bind(new.cause.at)
                .bind(new.intent.map(|intent| intent.request_id.0))
                .bind(new.intent.map(|intent| intent.digest.to_vec()))
                .fetch_optional(&mut *tx).await?;
            let outcome = match (created, new.intent) {
                (Some(created), _) => {
                    record_event!(tx, EventKind::AccountCreated, new.cause, Some(created.id), None);
                    Ok(created)
                }
                // Where the name of the intent is in the way, so are its own identifiers.
                (None, Some(intent)) => created_before!(tx, intent).unwrap_or(Err(AccountConflict::IdentifierTaken)),
                (None, None) => Err(AccountConflict::IdentifierTaken),
            };
            Ok(outcome)
        })
    }
}
