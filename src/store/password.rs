//! Passwords' hashes: found, and replaced where they still are what they were.

use super::event::record_event;
use super::revocation::end_sessions;
use super::{EndedSession, Store, StoreError, in_transaction, on_pool};
use crate::model::{Account, AccountId, AccountState, Cause, EndReason, EventKind, Identifier, SessionId};
use crate::secret::Secret;

/// A password about to take the place of another.
#[derive(Clone, Copy, Debug)]
pub struct SetPassword<'a> {
    /// Whose.
    pub account: AccountId,
    /// The hash so far, if there was one. If it is another by now, nothing happens.
    pub old: Option<&'a Secret<String>>,
    /// The new hash.
    pub new: &'a str,
    /// The session that goes on, if one does.
    pub keep: Option<SessionId>,
    /// Under which circumstances.
    pub cause: &'a Cause,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum PasswordSet {
    /// It is set, and these sessions have ended.
    Done(Vec<EndedSession>),
    /// The account's password is no longer what it was thought to be.
    Outdated,
    /// The account may not sign in.
    Blocked,
}

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

    /// The account of whoever has proved to own this.
    pub async fn account_of(&self, identifier: &Identifier) -> Result<Option<Account>, StoreError> {
        let statement = match identifier {
            Identifier::Phone(_) => "SELECT * FROM accounts WHERE phone = $1",
            Identifier::Email(_) => "SELECT * FROM accounts WHERE email = $1",
        };
        let account = on_pool!(self, pool => sqlx::query_as(statement)
            .bind(identifier.as_str())
            .fetch_optional(pool).await)?;
        Ok(account)
    }

    /// Sets a password in place of the one that is known, and ends the sessions that it may have opened.
    pub async fn set_password(&self, set: SetPassword<'_>) -> Result<PasswordSet, StoreError> {
        let SetPassword { account, old, new, keep, cause } = set;
        in_transaction!(self, tx => {
            // Locks the account, so that whoever signs in with the old password at this moment is seen below, or sees this.
            let updated: Option<Account> = sqlx::query_as(
                "UPDATE accounts SET password_hash = $3
                 WHERE id = $1 AND (password_hash = $2 OR ($2 IS NULL AND password_hash IS NULL)) RETURNING *")
                .bind(account.0).bind(old.map(|hash| hash.expose().as_str())).bind(new)
                .fetch_optional(&mut *tx).await?;
            let Some(updated) = updated else { return Ok(PasswordSet::Outdated) };
            if updated.state_at(cause.at) != AccountState::Active {
                return Ok(PasswordSet::Blocked);
            }
            let ended = end_sessions!(tx, account, keep, EndReason::PasswordChanged, cause);
            record_event!(tx, EventKind::PasswordChanged, cause, Some(account), keep);
            Ok(PasswordSet::Done(ended))
        })
    }
}
