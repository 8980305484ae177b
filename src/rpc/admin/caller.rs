//! Services and gateways that may call.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{cause, named};
use crate::app::App;
use crate::model::{CallerId, CallerName, CertificateName};
use crate::proto::v1;
use crate::rpc::convert;
use crate::rpc::validate::{Faults, name_of, page};
use crate::token::Change;

pub(super) async fn create_caller(
    app: &Arc<App>,
    request: Request<v1::CreateCallerRequest>,
) -> Result<Response<v1::CreateCallerResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let name: Option<CallerName> = faults.parse("name", &message.name);
    let permissions = convert::permissions(&message.permissions, &mut faults);
    let certificate_name = match message.certificate_name.as_str() {
        "" => None,
        text => faults.parse::<CertificateName>("certificate_name", text),
    };
    let request_id = faults.request_id(&message.request_id);
    let name = faults.unless(name)?;
    let cause = named(cause, request_id);
    let (caller, api_key) = match certificate_name {
        None => {
            let (caller, key) = app.callers.create(&name, permissions, request_id, &cause).await?;
            (caller, key.expose().clone())
        }
        Some(certificate) => {
            let created = app.callers.create_certified(&name, permissions, certificate, request_id, &cause).await?;
            (created, String::new())
        }
    };
    app.revocations.announce(Change::Callers);
    Ok(Response::new(v1::CreateCallerResponse { caller: Some(convert::caller(&caller)), api_key }))
}

pub(super) async fn list_callers(
    app: &Arc<App>,
    request: Request<v1::ListCallersRequest>,
) -> Result<Response<v1::ListCallersResponse>, Status> {
    let message = request.get_ref();
    let mut faults = Faults::default();
    let size = faults.page_size(message.page_size);
    let behind = faults.page_token(&message.page_token, name_of);
    faults.none()?;
    let found = app.callers.list(behind.as_deref().unwrap_or_default(), i64::from(size) + 1).await?;
    let (callers, next_page_token) = page(found, size, |last| last.name.as_bytes().to_vec());
    Ok(Response::new(v1::ListCallersResponse {
        callers: callers.iter().map(convert::caller).collect(),
        next_page_token,
    }))
}

pub(super) async fn rotate_caller_key(
    app: &Arc<App>,
    request: Request<v1::RotateCallerKeyRequest>,
) -> Result<Response<v1::RotateCallerKeyResponse>, Status> {
    let cause = cause(app, &request)?;
    let message = request.get_ref();
    let mut faults = Faults::default();
    let caller = faults.parse("caller_id", &message.caller_id);
    let request_id = faults.request_id(&message.request_id);
    let caller: CallerId = faults.unless(caller)?;
    let cause = named(cause, request_id);
    let (caller, key) = app.callers.rotate_key(caller, request_id, &cause).await?;
    app.revocations.announce(Change::Callers);
    Ok(Response::new(v1::RotateCallerKeyResponse {
        caller: Some(convert::caller(&caller)),
        api_key: key.expose().clone(),
    }))
}

pub(super) async fn delete_caller(
    app: &Arc<App>,
    request: Request<v1::DeleteCallerRequest>,
) -> Result<Response<v1::DeleteCallerResponse>, Status> {
    let cause = cause(app, &request)?;
    let mut faults = Faults::default();
    let caller = faults.parse("caller_id", &request.get_ref().caller_id);
    let caller: CallerId = faults.unless(caller)?;
    app.callers.delete(caller, &cause).await?;
    app.revocations.announce(Change::Callers);
    Ok(Response::new(v1::DeleteCallerResponse {}))
}
