//! `POST /oauth2/revoke` (RFC 7009). The rules are those of the RPC `Revoke`.

use std::net::IpAddr;

use axum::Extension;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode};

use super::client::{Client, allowed};
use super::fault::Fault;
use super::{Remote, View, form};
use crate::identity::API_KEY_PREFIX;
use crate::load::Class;
use crate::model::{Actor, CallId, ClientContext, Permission};
use crate::token::Demands;

/// Takes a token back: any, for a caller that may; for somebody with an access token, what is their own.
pub(super) async fn revoke(
    Shared(view): Shared<View>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Result<StatusCode, Fault> {
    let app = &view.app;
    let (parts, body) = request.into_parts();
    let mut _turn = None;
    let (actor, owner) = match Client::of(&parts.headers, &remote, app)? {
        Client::Caller(caller) => {
            let caller = allowed(caller, Permission::Revoke)?;
            _turn = app.load.turn_of(&caller)?;
            (Actor::Caller(caller.id), None)
        }
        Client::Token(token) => {
            app.load.count_stranger(remote.address)?;
            match app.access.introspect(token, Demands::default()).await?.verdict {
                Ok(known) => (Actor::Account(known.claims.sub), Some(known.claims.sub)),
                Err(_) => return Err(Fault::InvalidToken),
            }
        }
    };
    let form = form::read(&parts.headers, body).await?;
    let _place = app.load.take_on(Class::Sessions)?;
    if form.token.starts_with(API_KEY_PREFIX) {
        return Err(Fault::UnsupportedTokenType);
    }
    app.sessions.revoke(&form.token, owner, actor, &client(&parts.headers, remote.address)).await?;
    Ok(StatusCode::OK)
}

/// The circumstances, for the audit trail.
fn client(headers: &HeaderMap, address: IpAddr) -> ClientContext {
    let request_id = headers.get("x-request-id").and_then(|value| CallId::chosen(value.to_str().ok()?));
    ClientContext {
        ip: address.to_canonical(),
        user_agent: String::new(),
        device_id: String::new(),
        device_name: String::new(),
        request_id: request_id.map(|id| id.as_str().to_owned()).unwrap_or_default(),
    }
}
