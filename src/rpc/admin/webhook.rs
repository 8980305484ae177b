//! Endpoints that events are posted to.

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{cause, named};
use crate::app::App;
use crate::model::{KindFilter, WebhookId, WebhookName};
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, name_of, page};

pub(super) async fn create_webhook(
    app: &Arc<App>,
    request: Request<v1::CreateWebhookRequest>,
) -> Result<Response<v1::CreateWebhookResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let name: Option<WebhookName> = faults.parse("name", &message.name);
    let url = app.webhooks.url(&message.url).map_err(|fault| faults.add("url", fault)).ok();
    let kinds = kinds(&message.kinds, &mut faults);
    let request_id = faults.request_id(&message.request_id);
    let (name, url) = faults.unless(name.zip(url))?;
    let cause = named(cause, request_id);
    let (webhook, secret) = app.webhooks.create(&name, &url, &kinds, request_id, &cause).await?;
    Ok(Response::new(v1::CreateWebhookResponse {
        webhook: Some(convert::webhook(&webhook)),
        secret: secret.expose().clone(),
    }))
}

/// Kinds of events, each once and in one order.
fn kinds(names: &[String], faults: &mut Faults) -> KindFilter {
    for (at, name) in names.iter().enumerate() {
        if let Err(fault) = KindFilter::parse(&[name]) {
            faults.add(&format!("kinds[{at}]"), fault);
        }
    }
    let names: BTreeSet<_> = names.iter().collect();
    KindFilter::parse(&names.into_iter().collect::<Vec<_>>()).unwrap_or_default()
}

pub(super) async fn list_webhooks(
    app: &Arc<App>,
    request: Request<v1::ListWebhooksRequest>,
) -> Result<Response<v1::ListWebhooksResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let size = faults.page_size(message.page_size);
    let behind = faults.page_token(&message.page_token, name_of);
    faults.none()?;
    let found = app.webhooks.list(behind.as_deref().unwrap_or_default(), i64::from(size) + 1).await?;
    let (webhooks, next_page_token) = page(found, size, |last| last.name.as_bytes().to_vec());
    Ok(Response::new(v1::ListWebhooksResponse {
        webhooks: webhooks.iter().map(convert::webhook).collect(),
        next_page_token,
    }))
}

pub(super) async fn delete_webhook(
    app: &Arc<App>,
    request: Request<v1::DeleteWebhookRequest>,
) -> Result<Response<v1::DeleteWebhookResponse>, Status> {
    let cause = cause(app, &request)?;
    let mut faults = Faults::default();
    let webhook = faults.parse("webhook_id", &request.get_ref().webhook_id);
    let webhook: WebhookId = faults.unless(webhook)?;
    app.webhooks.delete(webhook, &cause).await?;
    Ok(Response::new(v1::DeleteWebhookResponse {}))
}

pub(super) async fn enable_webhook(
    app: &Arc<App>,
    request: Request<v1::EnableWebhookRequest>,
) -> Result<Response<v1::EnableWebhookResponse>, Status> {
    let cause = cause(app, &request)?;
    let mut faults = Faults::default();
    let webhook = faults.parse("webhook_id", &request.get_ref().webhook_id);
    let webhook: WebhookId = faults.unless(webhook)?;
    let webhook = app.webhooks.enable(webhook, &cause).await?;
    Ok(Response::new(v1::EnableWebhookResponse { webhook: Some(convert::webhook(&webhook)) }))
}

pub(super) async fn rotate_webhook_secret(
    app: &Arc<App>,
    request: Request<v1::RotateWebhookSecretRequest>,
) -> Result<Response<v1::RotateWebhookSecretResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let webhook = faults.parse("webhook_id", &message.webhook_id);
    let request_id = faults.request_id(&message.request_id);
    let webhook: WebhookId = faults.unless(webhook)?;
    let cause = named(cause, request_id);
    let new = app.webhooks.rotate_secret(webhook, request_id, &cause).await?;
    Ok(Response::new(v1::RotateWebhookSecretResponse {
        webhook: Some(convert::webhook(&new.webhook)),
        secret: new.secret.expose().clone(),
        former_until: Some(convert::timestamp(new.former_until)),
    }))
}
