//! Endpoints of others that events are posted to.

mod asked;
mod endpoints;
mod handover;
mod listener;
mod sending;

use countersign::proto::v1;
use tonic::{Response, Status};

use crate::harness::{TestApp, bearer};

/// Where nothing is sent in these tests.
pub(crate) const URL: &str = "https://hooks.example.com/countersign";

pub(crate) fn endpoint(name: &str, url: &str) -> v1::CreateWebhookRequest {
    v1::CreateWebhookRequest { name: name.to_owned(), url: url.to_owned(), ..Default::default() }
}

pub(crate) async fn create(app: &TestApp, request: v1::CreateWebhookRequest) -> (v1::Webhook, String) {
    let answer = app.node().admin().create_webhook(bearer(request, &app.api_key)).await.unwrap().into_inner();
    (answer.webhook.unwrap(), answer.secret)
}

pub(crate) async fn list(app: &TestApp) -> Vec<v1::Webhook> {
    let request = bearer(v1::ListWebhooksRequest::default(), &app.api_key);
    app.node().admin().list_webhooks(request).await.unwrap().into_inner().webhooks
}

/// A call of the administration, by its request.
pub(crate) trait Call {
    type Answer;

    async fn call(self, app: &TestApp) -> Result<Self::Answer, Status>;
}

/// Makes a call that must succeed, as an administrator.
pub(crate) async fn admin<C: Call>(app: &TestApp, request: C) -> C::Answer {
    request.call(app).await.unwrap()
}

macro_rules! calls {
    ($($request:ident by $method:ident gives $answer:ident,)*) => {$(
        impl Call for v1::$request {
            type Answer = v1::$answer;

            async fn call(self, app: &TestApp) -> Result<v1::$answer, Status> {
                app.node().admin().$method(bearer(self, &app.api_key)).await.map(Response::into_inner)
            }
        }
    )*};
}

calls! {
    DeleteWebhookRequest by delete_webhook gives DeleteWebhookResponse,
    EnableWebhookRequest by enable_webhook gives EnableWebhookResponse,
    RotateWebhookSecretRequest by rotate_webhook_secret gives RotateWebhookSecretResponse,
    ListDeliveriesRequest by list_deliveries gives ListDeliveriesResponse,
    ReplayDeliveriesRequest by replay_deliveries gives ReplayDeliveriesResponse,
    ListAuditEventsRequest by list_audit_events gives ListAuditEventsResponse,
}
