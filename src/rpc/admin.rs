//! `AdminService`: for operators.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert;
use super::peer::Peer;
use super::validate::{Faults, page_token};
use crate::app::App;
use crate::model::{CallerId, CallerName, Cause};
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;
use crate::token::{Change, Haste};

#[derive(Debug)]
pub(super) struct Admin(pub(super) Arc<App>);

impl Admin {
    fn cause<T>(&self, request: &Request<T>) -> Result<Cause, Status> {
        let peer = Peer::of(request)?;
        let ip = peer.address.to_string();
        Ok(Cause { at: self.0.clock.now(), actor: peer.actor(), ip, detail: String::new() })
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn create_caller(
        &self,
        request: Request<v1::CreateCallerRequest>,
    ) -> Result<Response<v1::CreateCallerResponse>, Status> {
        let cause = self.cause(&request)?;
        let message = request.get_ref();
        let mut faults = Faults::default();
        let name: Option<CallerName> = faults.parse("name", &message.name);
        let permissions = convert::permissions(&message.permissions, &mut faults);
        let request_id = faults.request_id(&message.request_id);
        let name = faults.unless(name)?;
        let (caller, key) = self.0.callers.create(&name, permissions, request_id, &cause).await?;
        self.0.revocations.announce(Change::Callers);
        Ok(Response::new(v1::CreateCallerResponse {
            caller: Some(convert::caller(&caller)),
            api_key: key.expose().clone(),
        }))
    }

    async fn list_callers(
        &self,
        request: Request<v1::ListCallersRequest>,
    ) -> Result<Response<v1::ListCallersResponse>, Status> {
        let message = request.get_ref();
        let mut faults = Faults::default();
        let size = faults.page_size(message.page_size);
        let behind = faults.page_token(&message.page_token, |cursor| {
            String::from_utf8(cursor.to_vec()).ok().filter(|name| !name.contains('\0'))
        });
        faults.none()?;
        let mut callers = self.0.callers.list(behind.as_deref().unwrap_or_default(), i64::from(size) + 1).await?;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let is_more = callers.len() > size;
        callers.truncate(size);
        let next = callers.last().filter(|_| is_more).map(|last| page_token(last.name.as_bytes()));
        Ok(Response::new(v1::ListCallersResponse {
            callers: callers.iter().map(convert::caller).collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn rotate_caller_key(
        &self,
        request: Request<v1::RotateCallerKeyRequest>,
    ) -> Result<Response<v1::RotateCallerKeyResponse>, Status> {
        let cause = self.cause(&request)?;
        let message = request.get_ref();
        let mut faults = Faults::default();
        let caller = faults.parse("caller_id", &message.caller_id);
        let request_id = faults.request_id(&message.request_id);
        let caller: CallerId = faults.unless(caller)?;
        let (caller, key) = self.0.callers.rotate_key(caller, request_id, &cause).await?;
        self.0.revocations.announce(Change::Callers);
        Ok(Response::new(v1::RotateCallerKeyResponse {
            caller: Some(convert::caller(&caller)),
            api_key: key.expose().clone(),
        }))
    }

    async fn delete_caller(
        &self,
        request: Request<v1::DeleteCallerRequest>,
    ) -> Result<Response<v1::DeleteCallerResponse>, Status> {
        let cause = self.cause(&request)?;
        let mut faults = Faults::default();
        let caller = faults.parse("caller_id", &request.get_ref().caller_id);
        let caller: CallerId = faults.unless(caller)?;
        self.0.callers.delete(caller, &cause).await?;
        self.0.revocations.announce(Change::Callers);
        Ok(Response::new(v1::DeleteCallerResponse {}))
    }

    async fn list_signing_keys(
        &self,
        _: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        let keyring = &self.0.keyring;
        keyring.reload().await?;
        let keys = keyring.keys();
        let listed = keys.records.iter().map(|key| convert::signing_key(key, keyring.usable_at(key)));
        Ok(Response::new(v1::ListSigningKeysResponse { keys: listed.collect() }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        let cause = self.cause(&request)?;
        let keyring = &self.0.keyring;
        let v1::RotateSigningKeyRequest { force, revoke } = *request.get_ref();
        let haste = Haste::of(force, revoke);
        let key = keyring.rotate(haste, &cause).await?;
        self.0.revocations.announce(Change::SigningKeys);
        let key = convert::signing_key(&key, keyring.usable_at(&key));
        Ok(Response::new(v1::RotateSigningKeyResponse { key: Some(key) }))
    }

    async fn purge_expired(
        &self,
        _: Request<v1::PurgeExpiredRequest>,
    ) -> Result<Response<v1::PurgeExpiredResponse>, Status> {
        let purged = self.0.store.purge(self.0.clock.now(), self.0.config.purge.event_retention).await?;
        Ok(Response::new(v1::PurgeExpiredResponse {
            sessions: purged.sessions,
            revocations: purged.revocations,
            signing_keys: purged.signing_keys,
            events: purged.events,
        }))
    }
}
