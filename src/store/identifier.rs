//! Phone numbers and mail addresses that change hands.

use super::account::usable;
use super::event::record_event;
use super::{Store, StoreError, in_transaction};
use crate::model::{Account, AccountId, Cause, EventKind, Identifier};

/// What became of the wish to have another identifier.
#[derive(Clone, Debug)]
pub enum IdentifierChange {
    /// It is the account's.
    Changed {
        /// The account as it was.
        before: Box<Account>,
        /// The account as it is.
        after: Box<Account>,
    },
    /// It was the account's already.
    Same(Box<Account>),
    /// Another account has proved that it is its own.
    Taken,
    /// There is no such account, or it may not be used.
    NotFound,
}

/// The statements for one kind of identifier: to lock the account, to free the identifier from those who only said that it
/// was theirs, to take it.
macro_rules! statements {
    ($proved:literal, $claimed:literal, $also:literal) => {
        [
            concat!("UPDATE accounts SET ", $claimed, " = NULL WHERE id = $1 AND", usable!("$2"), " RETURNING *"),
            concat!("UPDATE accounts SET ", $claimed, " = NULL WHERE ", $claimed, " = $1"),
            concat!("UPDATE accounts SET ", $proved, " = $2", $also, " WHERE id = $1 RETURNING *"),
        ]
    };
}

impl Store {
    /// Gives an account a phone number or mail address that its owner has proved, in place of the one of that kind so far.
    ///
    /// Another phone number takes the confirmation of the person's identity back: it was about the old one.
    pub async fn change_identifier(
        &self,
        id: AccountId,
        new: &Identifier,
        cause: &Cause,
    ) -> Result<IdentifierChange, StoreError> {
        let [lock, free, take] = match new {
            Identifier::Phone(_) => statements!(
                "phone",
                "claimed_phone",
                ", national_id_hash = NULL, identity_verified_at = NULL, identity_provider = '', full_name = '',
                 birth_date = '', alive = NULL"
            ),
            Identifier::Email(_) => statements!("email", "claimed_email", ""),
        };
        let cause = Cause { detail: new.kind().to_owned(), ..cause.clone() };
        in_transaction!(self, tx => {
            let before: Option<Account> = sqlx::query_as(lock).bind(id.0).bind(cause.at).fetch_optional(&mut *tx).await?;
            let Some(before) = before else { return Ok(IdentifierChange::NotFound) };
            if before.owns(new) {
                return Ok(IdentifierChange::Same(Box::new(before)));
            }
            sqlx::query(free).bind(new.as_str()).execute(&mut *tx).await?;
            let taken = sqlx::query_as(take).bind(id.0).bind(new.as_str()).fetch_one(&mut *tx).await;
            let after: Account = match taken {
                Ok(after) => after,
                Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => {
                    return Ok(IdentifierChange::Taken);
                }
                Err(error) => return Err(error.into()),
            };
            record_event!(tx, EventKind::IdentifierChanged, &cause, Some(id), None);
            Ok(IdentifierChange::Changed { before: Box::new(before), after: Box::new(after) })
        })
    }
}
