//! Who a person is, as a provider has confirmed it.

use super::account::usable;
use super::event::record_event;
use super::{Store, StoreError, in_transaction};
use crate::model::{Account, AccountId, BirthDate, Cause, EventKind, Phone, VerifiedIdentity};

/// What became of a confirmation.
#[derive(Clone, Debug)]
pub enum Confirmation {
    /// It stands with the account.
    Kept(Box<Account>),
    /// Another account has been confirmed to belong to this person.
    Taken,
    /// The account is gone, may not be used, or has another phone number by now.
    Outdated,
}

impl Store {
    /// Keeps what a provider has confirmed of the person whose phone number this is. Of the national id there is only a
    /// keyed hash.
    pub async fn confirm_identity(
        &self,
        id: AccountId,
        phone: &Phone,
        national_id: &[u8; 32],
        identity: &VerifiedIdentity,
        cause: &Cause,
    ) -> Result<Confirmation, StoreError> {
        const STATEMENT: &str = concat!(
            "UPDATE accounts SET national_id_hash = $4, identity_verified_at = $3, identity_provider = $5, full_name = $6,
                 birth_date = $7, alive = $8
             WHERE id = $1 AND phone = $2 AND",
            usable!("$3"),
            " RETURNING *"
        );
        let provider = identity.source.as_str();
        let cause = Cause { detail: provider.to_owned(), ..cause.clone() };
        in_transaction!(self, tx => {
            let kept = sqlx::query_as(STATEMENT)
                .bind(id.0).bind(phone.as_str()).bind(cause.at).bind(national_id.as_slice()).bind(provider)
                .bind(identity.full_name().unwrap_or_default())
                .bind(identity.birth_date.map(BirthDate::iso).unwrap_or_default())
                .bind(identity.alive)
                .fetch_optional(&mut *tx).await;
            let account: Account = match kept {
                Ok(Some(account)) => account,
                Ok(None) => return Ok(Confirmation::Outdated),
                Err(sqlx::Error::Database(refusal)) if refusal.is_unique_violation() => {
                    return Ok(Confirmation::Taken);
                }
                Err(error) => return Err(error.into()),
            };
            record_event!(tx, EventKind::IdentityVerified, &cause, Some(id), None);
            Ok(Confirmation::Kept(Box::new(account)))
        })
    }
}
