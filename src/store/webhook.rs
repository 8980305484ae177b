//! Endpoints that events are posted to, and their secrets, which are kept sealed.

use chrono::{DateTime, TimeDelta, Utc};

use super::event::record_event;
use super::{Store, StoreError, in_transaction, on_pool};
use crate::model::{Cause, EventKind, Webhook, WebhookId, destination};

/// How long a secret that signs no more is still known, so that a late repetition of what made it is not taken for new.
const REMEMBERED: TimeDelta = TimeDelta::days(90);

/// A secret of an endpoint as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// Whose it is.
    pub webhook_id: WebhookId,
    /// SHA-256 of the secret, by which a repeated request finds it.
    pub digest: Vec<u8>,
    /// The secret, encrypted.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it signs; the newest has no end.
    pub until: Option<DateTime<Utc>>,
}

/// Why an endpoint could not be written as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookConflict {
    /// Another endpoint has this name.
    NameTaken,
    /// The secret is there already, with something else: only a repeated `request_id` can bring that about.
    SecretTaken,
    /// There is no such endpoint.
    NotFound,
}

impl Store {
    /// Every endpoint, by name.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, StoreError> {
        let webhooks =
            on_pool!(self, pool => sqlx::query_as("SELECT * FROM webhooks ORDER BY name").fetch_all(pool).await)?;
        Ok(webhooks)
    }

    /// The endpoint with a name.
    pub async fn webhook_called(&self, name: &str) -> Result<Option<Webhook>, StoreError> {
        let webhook = on_pool!(self, pool => sqlx::query_as("SELECT * FROM webhooks WHERE name = $1")
            .bind(name)
            .fetch_optional(pool).await)?;
        Ok(webhook)
    }

    /// Endpoints by name, from behind a cursor.
    pub async fn webhooks_after(&self, name: &str, limit: i64) -> Result<Vec<Webhook>, StoreError> {
        let webhooks = on_pool!(self, pool => sqlx::query_as(
                "SELECT * FROM webhooks WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(name).bind(limit)
            .fetch_all(pool).await)?;
        Ok(webhooks)
    }

    /// Every secret that signs at a moment, the newest first.
    pub async fn webhook_secrets(&self, at: DateTime<Utc>) -> Result<Vec<SealedSecret>, StoreError> {
        let secrets = on_pool!(self, pool => sqlx::query_as(
                "SELECT * FROM webhook_secrets WHERE until IS NULL OR until > $1 ORDER BY created_at DESC, digest")
            .bind(at)
            .fetch_all(pool).await)?;
        Ok(secrets)
    }

    /// Adds an endpoint. Adding it again, with the same secret and all else, finds it there.
    pub async fn add_webhook(
        &self,
        new: &Webhook,
        secret: &SealedSecret,
        cause: &Cause,
    ) -> Result<Result<Webhook, WebhookConflict>, StoreError> {
        let cause = Cause { detail: new.name.clone(), ..cause.clone() };
        in_transaction!(self, tx => {
            let holder: Option<Webhook> = sqlx::query_as(
                "SELECT webhooks.* FROM webhooks JOIN webhook_secrets ON webhook_id = id WHERE digest = $1")
                .bind(&secret.digest)
                .fetch_optional(&mut *tx).await?;
            if let Some(holder) = holder {
                return Ok(same_or_taken(new, holder));
            }
            let added = sqlx::query(
                "INSERT INTO webhooks (id, name, url, kinds, created_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
                .bind(new.id.0).bind(&new.name).bind(&new.url).bind(new.kinds.to_string()).bind(new.created_at)
                .execute(&mut *tx).await?;
            if added.rows_affected() == 0 {
                // It may be the same request that came in first.
                let holder: Option<Webhook> = sqlx::query_as(
                    "SELECT webhooks.* FROM webhooks JOIN webhook_secrets ON webhook_id = id WHERE digest = $1")
                    .bind(&secret.digest)
                    .fetch_optional(&mut *tx).await?;
                return Ok(holder.map_or(Err(WebhookConflict::NameTaken), |holder| same_or_taken(new, holder)));
            }
            let kept = sqlx::query(
                "INSERT INTO webhook_secrets (digest, webhook_id, sealed, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING")
                .bind(&secret.digest).bind(new.id.0).bind(&secret.sealed).bind(secret.created_at)
                .execute(&mut *tx).await?;
            if kept.rows_affected() == 0 {
                return Ok(Err(WebhookConflict::SecretTaken));
            }
            record_event!(tx, EventKind::WebhookCreated, &cause, None, None);
            Ok(Ok(new.clone()))
        })
    }

    /// Gives an endpoint another secret; the one before signs as well until a moment. Giving it the same one again changes
    /// nothing. Tells until when the one before signs.
    pub async fn replace_webhook_secret(
        &self,
        secret: &SealedSecret,
        former_until: DateTime<Utc>,
        cause: &Cause,
    ) -> Result<Result<(Webhook, DateTime<Utc>), WebhookConflict>, StoreError> {
        let id = secret.webhook_id;
        in_transaction!(self, tx => {
            let kept = sqlx::query(
                "INSERT INTO webhook_secrets (digest, webhook_id, sealed, created_at)
                 SELECT $1, id, $3, $4 FROM webhooks WHERE id = $2 ON CONFLICT DO NOTHING")
                .bind(&secret.digest).bind(id.0).bind(&secret.sealed).bind(secret.created_at)
                .execute(&mut *tx).await?;
            if kept.rows_affected() == 0 {
                let webhook: Option<Webhook> = sqlx::query_as("SELECT * FROM webhooks WHERE id = $1")
                    .bind(id.0)
                    .fetch_optional(&mut *tx).await?;
                let Some(webhook) = webhook else { return Ok(Err(WebhookConflict::NotFound)) };
                let secrets: Vec<SealedSecret> = sqlx::query_as("SELECT * FROM webhook_secrets WHERE webhook_id = $1")
                    .bind(id.0)
                    .fetch_all(&mut *tx).await?;
                let is_current = secrets.iter().any(|kept| kept.digest == secret.digest && kept.until.is_none());
                let until = secrets.iter().filter_map(|kept| kept.until).max().unwrap_or(cause.at);
                return Ok(if is_current { Ok((webhook, until)) } else { Err(WebhookConflict::SecretTaken) });
            }
            // Rotations at the same time queue up here, at the endpoint's row.
            let webhook: Option<Webhook> = sqlx::query_as("UPDATE webhooks SET rotated_at = $2 WHERE id = $1 RETURNING *")
                .bind(id.0).bind(cause.at)
                .fetch_optional(&mut *tx).await?;
            let Some(webhook) = webhook else { return Ok(Err(WebhookConflict::NotFound)) };
            sqlx::query("UPDATE webhook_secrets SET until = $3 WHERE webhook_id = $1 AND digest <> $2 AND until IS NULL")
                .bind(id.0).bind(&secret.digest).bind(former_until)
                .execute(&mut *tx).await?;
            sqlx::query("DELETE FROM webhook_secrets WHERE webhook_id = $1 AND until <= $2")
                .bind(id.0).bind(cause.at - REMEMBERED)
                .execute(&mut *tx).await?;
            let cause = Cause { detail: webhook.name.clone(), ..cause.clone() };
            record_event!(tx, EventKind::WebhookSecretRotated, &cause, None, None);
            Ok(Ok((webhook, former_until)))
        })
    }

    /// Deletes an endpoint, and with it what had not arrived there. Tells whether there was one.
    pub async fn delete_webhook(&self, id: WebhookId, cause: &Cause) -> Result<bool, StoreError> {
        in_transaction!(self, tx => {
            let deleted: Option<Webhook> = sqlx::query_as("DELETE FROM webhooks WHERE id = $1 RETURNING *")
                .bind(id.0)
                .fetch_optional(&mut *tx).await?;
            let Some(webhook) = deleted else { return Ok(false) };
            sqlx::query("DELETE FROM deliveries WHERE destination = $1")
                .bind(destination(id))
                .execute(&mut *tx).await?;
            let cause = Cause { detail: webhook.name, ..cause.clone() };
            record_event!(tx, EventKind::WebhookDeleted, &cause, None, None);
            Ok(true)
        })
    }

    /// Sends events to an endpoint again. One that is active stays as it is.
    pub async fn enable_webhook(&self, id: WebhookId, cause: &Cause) -> Result<Option<Webhook>, StoreError> {
        in_transaction!(self, tx => {
            let enabled: Option<Webhook> = sqlx::query_as(
                "UPDATE webhooks SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NOT NULL RETURNING *")
                .bind(id.0)
                .fetch_optional(&mut *tx).await?;
            let Some(webhook) = enabled else {
                let unchanged = sqlx::query_as("SELECT * FROM webhooks WHERE id = $1")
                    .bind(id.0)
                    .fetch_optional(&mut *tx).await?;
                return Ok(unchanged);
            };
            let cause = Cause { detail: webhook.name.clone(), ..cause.clone() };
            record_event!(tx, EventKind::WebhookEnabled, &cause, None, None);
            Ok(Some(webhook))
        })
    }

    /// Sends no more events to an endpoint. Tells whether it was this call that ended it.
    pub async fn disable_webhook(&self, id: WebhookId, cause: &Cause) -> Result<bool, StoreError> {
        in_transaction!(self, tx => {
            let disabled: Option<Webhook> = sqlx::query_as(
                "UPDATE webhooks SET disabled_at = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING *")
                .bind(id.0).bind(cause.at)
                .fetch_optional(&mut *tx).await?;
            let Some(webhook) = disabled else { return Ok(false) };
            let cause = Cause { detail: webhook.name, ..cause.clone() };
            record_event!(tx, EventKind::WebhookDisabled, &cause, None, None);
            Ok(true)
        })
    }
}

/// Whether what has the secret is the very endpoint that was to be added.
fn same_or_taken(new: &Webhook, holder: Webhook) -> Result<Webhook, WebhookConflict> {
    let is_same = holder.name == new.name && holder.url == new.url && holder.kinds == new.kinds;
    if is_same { Ok(holder) } else { Err(WebhookConflict::SecretTaken) }
}
