//! From a row to the model, once for both databases.

use chrono::{DateTime, Utc};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};
use uuid::Uuid;

use super::session::Detailed;
use super::{Due, EndedSession, Grant, SealedSecret, SequencedRevocation, StoredCaller};
use crate::model::{
    Account, AccountId, Caller, CallerId, Delivery, EmailAddress, Event, Facts, Identity, KindFilter, Permissions,
    Phone, Revocation, Roles, Session, SessionId, SigningKey, Target, Webhook, WebhookId,
};
use crate::secret::Secret;

/// Implements `FromRow` for a type, on every database that can hold the kinds of column we use.
macro_rules! from_row {
    ($type:ty, |$row:ident| $body:expr) => {
        impl<'r, R> FromRow<'r, R> for $type
        where
            R: Row,
            &'static str: ColumnIndex<R>,
            Uuid: Decode<'r, R::Database> + Type<R::Database>,
            String: Decode<'r, R::Database> + Type<R::Database>,
            i64: Decode<'r, R::Database> + Type<R::Database>,
            bool: Decode<'r, R::Database> + Type<R::Database>,
            DateTime<Utc>: Decode<'r, R::Database> + Type<R::Database>,
            Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
        {
            fn from_row($row: &'r R) -> sqlx::Result<Self> {
                $body
            }
        }
    };
}

/// A stored text that is not what it should be. The text itself stays out of it.
fn unfit(fault: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(fault.into())
}

/// A stored word that this release does not know.
fn unknown(word: String) -> sqlx::Error {
    sqlx::Error::Decode(word.into())
}

fn phone(stored: Option<String>) -> sqlx::Result<Option<Phone>> {
    stored.map(|text| text.parse().map_err(unfit)).transpose()
}

fn email(stored: Option<String>) -> sqlx::Result<Option<EmailAddress>> {
    stored.map(|text| EmailAddress::parse(&text).map_err(unfit)).transpose()
}

from_row!(Account, |row| {
    let identity = match row.try_get("identity_verified_at")? {
        None => None,
        Some(verified_at) => Some(Identity {
            verified_at,
            provider: row.try_get("identity_provider")?,
            full_name: row.try_get("full_name")?,
            birth_date: row.try_get("birth_date")?,
            alive: row.try_get("alive")?,
        }),
    };
    Ok(Self {
        id: AccountId(row.try_get("id")?),
        phone: phone(row.try_get("phone")?)?,
        email: email(row.try_get("email")?)?,
        claimed_phone: phone(row.try_get("claimed_phone")?)?,
        claimed_email: email(row.try_get("claimed_email")?)?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        locale: row.try_get("locale")?,
        metadata: serde_json::from_str(&row.try_get::<String, _>("metadata")?).map_err(unfit)?,
        password_hash: row.try_get::<Option<String>, _>("password_hash")?.map(Secret::new),
        roles: Roles::parse(&row.try_get::<String, _>("roles")?),
        state: row.try_get::<String, _>("state")?.parse().map_err(unknown)?,
        blocked_until: row.try_get("blocked_until")?,
        block_reason: row.try_get("block_reason")?,
        identity,
        created_at: row.try_get("created_at")?,
        last_login_at: row.try_get("last_login_at")?,
    })
});

from_row!(Session, |row| Ok(Self {
    id: SessionId(row.try_get("id")?),
    account_id: AccountId(row.try_get("account_id")?),
    generation: row.try_get("generation")?,
    client_id: row.try_get("client_id")?,
    amr: row.try_get("amr")?,
    device_id: row.try_get("device_id")?,
    device_name: row.try_get("device_name")?,
    user_agent: row.try_get("user_agent")?,
    ip: row.try_get("ip")?,
    created_at: row.try_get("created_at")?,
    last_used_at: row.try_get("last_used_at")?,
    expires_at: row.try_get("expires_at")?,
    absolute_expires_at: row.try_get("absolute_expires_at")?,
    access_expires_at: row.try_get("access_expires_at")?,
    upgraded_from: row.try_get::<Option<Uuid>, _>("upgraded_from")?.map(AccountId),
}));

from_row!(Grant, |row| Ok(Self {
    session: Session::from_row(row)?,
    roles: Roles::parse(&row.try_get::<String, _>("roles")?),
    facts: None,
}));

from_row!(Detailed, |row| {
    let facts = Facts {
        phone: row.try_get("owner_phone")?,
        email: row.try_get("owner_email")?,
        claimed_phone: row.try_get("owner_claimed_phone")?,
        claimed_email: row.try_get("owner_claimed_email")?,
        first_name: row.try_get("owner_first_name")?,
        last_name: row.try_get("owner_last_name")?,
        locale: row.try_get("owner_locale")?,
        full_name: row.try_get("owner_full_name")?,
        identity_verified: row.try_get::<Option<DateTime<Utc>>, _>("owner_identity_verified_at")?.is_some(),
        metadata: serde_json::from_str(&row.try_get::<String, _>("owner_metadata")?).map_err(unfit)?,
    };
    Ok(Self(Grant { facts: Some(facts), ..Grant::from_row(row)? }))
});

from_row!(EndedSession, |row| Ok(Self {
    id: SessionId(row.try_get("id")?),
    account_id: AccountId(row.try_get("account_id")?),
    access_expires_at: row.try_get("access_expires_at")?,
}));

from_row!(Event, |row| Ok(Self {
    id: row.try_get("id")?,
    at: row.try_get("at")?,
    kind: row.try_get("kind")?,
    account_id: row.try_get::<Option<Uuid>, _>("account_id")?.map(AccountId),
    session_id: row.try_get::<Option<Uuid>, _>("session_id")?.map(SessionId),
    actor: row.try_get("actor")?,
    ip: row.try_get("ip")?,
    request_id: row.try_get("request_id")?,
    detail: row.try_get("detail")?,
}));

from_row!(Due, |row| Ok(Self {
    event: Event::from_row(row)?,
    seq: row.try_get("seq")?,
    attempts: row.try_get("attempts")?,
}));

from_row!(SequencedRevocation, |row| {
    let kind: String = row.try_get("kind")?;
    let target = Target::from_parts(&kind, row.try_get("target")?)
        .ok_or_else(|| unknown(format!("unknown kind of revocation `{kind}`")))?;
    Ok(Self {
        seq: row.try_get("seq")?,
        revocation: Revocation {
            target,
            revoked_at: row.try_get("revoked_at")?,
            expires_at: row.try_get("expires_at")?,
        },
    })
});

from_row!(StoredCaller, |row| Ok(Self {
    caller: Caller {
        id: CallerId(row.try_get("id")?),
        name: row.try_get("name")?,
        permissions: Permissions::parse(&row.try_get::<String, _>("permissions")?),
        created_at: row.try_get("created_at")?,
        rotated_at: row.try_get("rotated_at")?,
        // One that a later release understands is nobody's here.
        certificate_name: row.try_get::<Option<String>, _>("certificate_name")?.and_then(|name| name.parse().ok()),
    },
    key_hash: row.try_get("key_hash")?,
}));

from_row!(SigningKey, |row| Ok(Self {
    kid: row.try_get("kid")?,
    algorithm: row.try_get::<String, _>("algorithm")?.parse().map_err(unknown)?,
    state: row.try_get::<String, _>("state")?.parse().map_err(unknown)?,
    sealed_private: row.try_get("sealed_private")?,
    public_jwk: row.try_get("public_jwk")?,
    created_at: row.try_get("created_at")?,
    activated_at: row.try_get("activated_at")?,
    retired_at: row.try_get("retired_at")?,
    longest_token_seconds: row.try_get("longest_token_seconds")?,
}));

from_row!(Webhook, |row| Ok(Self {
    id: WebhookId(row.try_get("id")?),
    name: row.try_get("name")?,
    url: row.try_get("url")?,
    kinds: KindFilter::stored(&row.try_get::<String, _>("kinds")?),
    created_at: row.try_get("created_at")?,
    rotated_at: row.try_get("rotated_at")?,
    disabled_at: row.try_get("disabled_at")?,
}));

from_row!(SealedSecret, |row| Ok(Self {
    webhook_id: WebhookId(row.try_get("webhook_id")?),
    digest: row.try_get("digest")?,
    sealed: row.try_get("sealed")?,
    created_at: row.try_get("created_at")?,
    until: row.try_get("until")?,
}));

from_row!(Delivery, |row| Ok(Self {
    destination: row.try_get("destination")?,
    event_id: row.try_get("event_id")?,
    seq: row.try_get("seq")?,
    kind: row.try_get("kind")?,
    at: row.try_get("at")?,
    // Where there is none, zeros keep the events' order among themselves.
    account_id: Some(row.try_get("account_id")?).filter(|id: &Uuid| !id.is_nil()).map(AccountId),
    state: row.try_get::<String, _>("state")?.parse().map_err(unfit)?,
    attempts: row.try_get("attempts")?,
    due_at: row.try_get("due_at")?,
    last_error: row.try_get("last_error")?,
}));
