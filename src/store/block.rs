//! Shutting an account, and opening it again.

use chrono::{DateTime, Utc};

use super::event::record_event;
use super::revocation::cut_off;
use super::{Store, StoreError, in_transaction};
use crate::model::{Account, AccountId, Cause, EndReason, EventKind, Revocation};

/// How an account is to be shut.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Why, as the operator puts it, or empty.
    pub reason: &'a str,
    /// When it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// When no token that the account was issued can be unexpired any more.
    pub expires_at: DateTime<Utc>,
}

/// An account that has been shut.
#[derive(Clone, Debug)]
pub struct Shut {
    /// The account as it is now.
    pub account: Account,
    /// What stopped to count with it.
    pub revoked: Vec<Revocation>,
}

/// Lifts those blocks of certain accounts whose time is over, and tells of each. `$which` yields the accounts; `$1` in it is
/// the time, and `$2` what is bound to it.
macro_rules! lift_ended_blocks {
    ($tx:expr, $cause:expr, $which:literal, $bound:expr) => {{
        let cause: &$crate::model::Cause = $cause;
        let lifted: Vec<$crate::model::Account> = sqlx::query_as(concat!(
            "UPDATE accounts SET state = 'active', blocked_until = NULL, block_reason = ''
             WHERE state = 'blocked' AND blocked_until <= $1 AND id IN (",
            $which,
            ") RETURNING *"
        ))
        .bind(cause.at)
        .bind($bound)
        .fetch_all(&mut *$tx)
        .await?;
        let cause = $crate::model::Cause { actor: $crate::model::Actor::System, ..cause.clone() };
        for account in &lifted {
            record_event!($tx, $crate::model::EventKind::AccountUnblocked, &cause, Some(account.id), None);
        }
        lifted
    }};
}

pub(super) use lift_ended_blocks;

impl Store {
    /// Shuts an account that is not deleted, ends its sessions and takes back what it was issued, in one transaction. One
    /// that is shut already gets the new reason and the new end.
    ///
    /// The account is locked first, as a sign-in does: whichever comes first, the sessions that it opened are seen below, or
    /// it sees the block. A refresh and the end of a session meet at the session's row.
    pub async fn block_account(
        &self,
        id: AccountId,
        block: Block<'_>,
        cause: &Cause,
    ) -> Result<Option<Shut>, StoreError> {
        let cause = Cause { detail: block.reason.to_owned(), ..cause.clone() };
        in_transaction!(self, tx => {
            let account: Option<Account> = sqlx::query_as(
                "UPDATE accounts SET state = 'blocked', blocked_until = $2, block_reason = $3
                 WHERE id = $1 AND state <> 'deleted' RETURNING *")
                .bind(id.0).bind(block.until).bind(block.reason)
                .fetch_optional(&mut *tx).await?;
            let Some(account) = account else { return Ok(None) };
            let revoked = cut_off!(tx, id, block.expires_at, EndReason::AccountBlocked, "blocked", &cause);
            record_event!(tx, EventKind::AccountBlocked, &cause, Some(id), None);
            Ok(Some(Shut { account, revoked }))
        })
    }

    /// Lifts a block that still holds.
    pub async fn unblock_account(&self, id: AccountId, cause: &Cause) -> Result<Option<Account>, StoreError> {
        in_transaction!(self, tx => {
            let account: Option<Account> = sqlx::query_as(
                "UPDATE accounts SET state = 'active', blocked_until = NULL, block_reason = ''
                 WHERE id = $1 AND state = 'blocked' AND (blocked_until IS NULL OR blocked_until > $2) RETURNING *")
                .bind(id.0).bind(cause.at)
                .fetch_optional(&mut *tx).await?;
            if account.is_some() {
                record_event!(tx, EventKind::AccountUnblocked, cause, Some(id), None);
            }
            Ok(account)
        })
    }

    /// Lifts up to `most` blocks whose time is over. An account is open from that time on, whenever this is done: it is done so
    /// that other systems hear of it. Tells how many there were.
    pub async fn lift_ended_blocks(&self, most: i64, cause: &Cause) -> Result<usize, StoreError> {
        in_transaction!(self, tx => {
            let lifted = lift_ended_blocks!(
                tx, cause, "SELECT id FROM accounts WHERE state = 'blocked' AND blocked_until <= $1 LIMIT $2", most);
            Ok(lifted.len())
        })
    }
}
