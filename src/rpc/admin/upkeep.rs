//! Signing keys.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::cause;
use crate::app::App;
use crate::proto::v1;
use crate::rpc::convert;
use crate::token::{Change, Haste};

pub(super) async fn list_signing_keys(
    app: &Arc<App>,
    _: Request<v1::ListSigningKeysRequest>,
) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
    let keyring = &app.keyring;
    keyring.reload().await?;
    let keys = keyring.keys();
    let listed = keys.records.iter().map(|key| convert::signing_key(key, keyring.usable_at(key)));
    Ok(Response::new(v1::ListSigningKeysResponse { keys: listed.collect() }))
}

pub(super) async fn rotate_signing_key(
    app: &Arc<App>,
    request: Request<v1::RotateSigningKeyRequest>,
) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
    let cause = cause(app, &request)?;
    let keyring = &app.keyring;
    let v1::RotateSigningKeyRequest { force, revoke } = *request.get_ref();
    let haste = Haste::of(force, revoke);
    let key = keyring.rotate(haste, &cause).await?;
    app.revocations.announce(Change::SigningKeys);
    let key = convert::signing_key(&key, keyring.usable_at(&key));
    Ok(Response::new(v1::RotateSigningKeyResponse { key: Some(key) }))
}
