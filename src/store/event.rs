//! Writing down what happened, inside the transaction that makes it so.

/// Adds an event to a transaction: what, under which circumstances, about which account and session.
macro_rules! record_event {
    ($tx:expr, $kind:expr, $cause:expr, $account:expr, $session:expr) => {{
        let kind: $crate::model::EventKind = $kind;
        let cause: &$crate::model::Cause = $cause;
        let account: Option<$crate::model::AccountId> = $account;
        let session: Option<$crate::model::SessionId> = $session;
        sqlx::query(
            "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind($crate::random::Random.id(cause.at))
        .bind(cause.at)
        .bind(kind.as_str())
        .bind(account.map(|id| id.0))
        .bind(session.map(|id| id.0))
        .bind(cause.actor.name(account))
        .bind(cause.ip.as_str())
        .bind(cause.request_id.as_str())
        .bind(cause.detail.as_str())
        .execute(&mut *$tx)
        .await?
    }};
}

pub(super) use record_event;
