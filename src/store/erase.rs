//! Deleting an account: the row stays, so that its identifier is never anybody else's, and nothing of the person stays in it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::event::record_event;
use super::revocation::cut_off;
use super::{Store, StoreError, in_transaction};
use crate::model::{AccountId, Cause, EndReason, EventKind, Revocation};

impl Store {
    /// Deletes an account that is not deleted, and ends what it was issued, in one transaction. Its phone number and mail
    /// address can be used anew at once. Yields what stopped to count.
    pub async fn delete_account(
        &self,
        id: AccountId,
        expires_at: DateTime<Utc>,
        cause: &Cause,
    ) -> Result<Option<Vec<Revocation>>, StoreError> {
        in_transaction!(self, tx => {
            let erased: Option<(Uuid,)> = sqlx::query_as(
                "UPDATE accounts SET state = 'deleted', phone = NULL, email = NULL, claimed_phone = NULL,
                     claimed_email = NULL, first_name = '', last_name = '', roles = '', locale = '', metadata = '{}',
                     password_hash = NULL, blocked_until = NULL, block_reason = '', national_id_hash = NULL,
                     identity_verified_at = NULL, identity_provider = '', full_name = '', birth_date = '', alive = NULL,
                     created_with = NULL
                 WHERE id = $1 AND state <> 'deleted' RETURNING id")
                .bind(id.0)
                .fetch_optional(&mut *tx).await?;
            if erased.is_none() {
                return Ok(None);
            }
            let revoked = cut_off!(tx, id, expires_at, EndReason::AccountDeleted, "deleted", cause);
            // Ended sessions are kept for a while, for tokens of theirs that come back; what they tell of the person is not.
            sqlx::query(
                "UPDATE sessions SET device_id = '', device_name = '', user_agent = '', ip = '' WHERE account_id = $1")
                .bind(id.0)
                .execute(&mut *tx).await?;
            record_event!(tx, EventKind::AccountDeleted, cause, Some(id), None);
            Ok(Some(revoked))
        })
    }
}
