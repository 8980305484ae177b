//! Phone numbers and mail addresses that change hands.

use super::account::usable;
use super::event::record_event;
use super::{Store, StoreError, in_transaction};
use crate::model::{Account, AccountId, Cause, EventKind, Identifier};

/// Takes an identifier that its owner has proved from all who only said that it was theirs. It is a change to their accounts,
/// and recorded as one.
macro_rules! free_claims {
    ($tx:expr, $identifier:expr, $owner:expr, $cause:expr) => {{
        use $crate::model::{AccountId, Actor, Cause, EventKind, Identifier};
        let (identifier, owner, cause): (&Identifier, AccountId, &Cause) = ($identifier, $owner, $cause);
        let (statement, column) = match identifier {
            Identifier::Phone(_) => (
                "UPDATE accounts SET claimed_phone = NULL WHERE claimed_phone = $1 AND id <> $2 RETURNING id",
                "claimed_phone",
            ),
            Identifier::Email(_) => (
                "UPDATE accounts SET claimed_email = NULL WHERE claimed_email = $1 AND id <> $2 RETURNING id",
                "claimed_email",
            ),
        };
        let freed: Vec<(uuid::Uuid,)> =
            sqlx::query_as(statement).bind(identifier.as_str()).bind(owner.0).fetch_all(&mut *$tx).await?;
        for (id,) in freed {
            let actor = if cause.actor == Actor::Owner { Actor::Account(owner) } else { cause.actor };
            let cause = Cause { actor, detail: column.to_owned(), ..cause.clone() };
            $crate::store::event::record_event!($tx, EventKind::AccountUpdated, &cause, Some(AccountId(id)), None);
        }
    }};
}

pub(super) use free_claims;

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

/// The statements for one kind of identifier: to lock the account, and to give it the identifier.
macro_rules! statements {
    ($proved:literal, $claimed:literal, $also:literal) => {
        [
            concat!("UPDATE accounts SET ", $claimed, " = NULL WHERE id = $1 AND", usable!("$2"), " RETURNING *"),
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
        let [lock, take] = match new {
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
            free_claims!(tx, new, id, &cause);
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
