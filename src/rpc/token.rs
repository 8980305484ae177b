//! `TokenService`: keeping, checking and taking back. What gateways ask with every request stands in `introspect`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::peer::Peer;
use super::validate::Faults;
use super::{convert, cookies, status, watch};
use crate::app::App;
use crate::model::{Cause, Permission, Target};
use crate::proto::v1;
use crate::proto::v1::token_service_server::TokenService;
use crate::session::RefreshError;
use crate::token::{Demands, MAX_COMPACT_BYTES};

#[derive(Debug)]
pub(super) struct Token(pub(super) Arc<App>);

#[tonic::async_trait]
impl TokenService for Token {
    async fn refresh(&self, request: Request<v1::RefreshRequest>) -> Result<Response<v1::RefreshResponse>, Status> {
        let peer = Peer::of(&request)?;
        let message = request.get_ref();
        let mut faults = Faults::default();
        let (client, request_id) = faults.intent(message.client.as_ref(), &message.request_id, peer);
        faults.none()?;
        let cookie = cookies::refresh_token(request.metadata(), &self.0, peer);
        let cookie = cookie.filter(|_| message.refresh_token.is_empty());
        let token = cookie.unwrap_or(&message.refresh_token);
        let pair = match self.0.sessions.refresh(token, &client, request_id).await {
            Ok(pair) => pair,
            Err(error @ (RefreshError::Invalid | RefreshError::Reused | RefreshError::Ended)) => {
                return Err(cookies::worthless(error.into(), &self.0, peer));
            }
            Err(error) => return Err(error.into()),
        };
        let now = self.0.clock.now();
        let tokens = if cookie.is_some() { cookies::hidden(&pair, now) } else { convert::tokens(&pair, now) };
        Ok(cookies::signed_in(v1::RefreshResponse { tokens: Some(tokens) }, &self.0, peer, &pair))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Result<Response<v1::VerifyResponse>, Status> {
        let token = &request.get_ref().token;
        let mut faults = Faults::default();
        faults.token("token", token, MAX_COMPACT_BYTES);
        faults.none()?;
        Ok(Response::new(match self.0.access.introspect(token, Demands::default()).await?.verdict {
            Ok(known) => v1::VerifyResponse { valid: true, reason: 0, claims: Some(convert::claims(&known)) },
            Err(inactive) => {
                v1::VerifyResponse { valid: false, reason: convert::invalid_reason(&inactive).into(), claims: None }
            }
        }))
    }

    async fn revoke(&self, request: Request<v1::RevokeRequest>) -> Result<Response<v1::RevokeResponse>, Status> {
        let peer = Peer::of(&request)?.clone();
        let token = &request.get_ref().token;
        let mut faults = Faults::default();
        faults.token("token", token, MAX_COMPACT_BYTES);
        let client = faults.client(None, &peer);
        faults.none()?;
        // A service may take back any token; anybody else only what is their own.
        let owner = match &peer.holder {
            Some(holder) if !peer.may(Permission::Revoke) => Some(holder.token.claims.sub),
            _ => None,
        };
        self.0.sessions.revoke(token, owner, peer.actor(), &client).await?;
        Ok(Response::new(v1::RevokeResponse {}))
    }

    async fn blacklist(
        &self,
        request: Request<v1::BlacklistRequest>,
    ) -> Result<Response<v1::BlacklistResponse>, Status> {
        use v1::blacklist_request::Target as Named;
        let peer = Peer::of(&request)?.clone();
        let message = request.get_ref();
        let now = self.0.clock.now();
        let mut faults = Faults::default();
        let target = match &message.target {
            Some(Named::TokenId(id)) => faults.parse("token_id", id).map(Target::Token),
            Some(Named::SessionId(id)) => faults.parse("session_id", id).map(Target::Session),
            Some(Named::AccountId(id)) => faults.parse("account_id", id).map(Target::Account),
            None => {
                faults.add("target", "must be a token, a session or an account");
                None
            }
        };
        let detail = faults.text("reason", &message.reason, 256);
        let until = faults.future("until", message.until, now);
        let target = faults.unless(target)?;
        let cause = Cause { detail, ..peer.cause(now) };
        let revoked_at = self.0.sessions.blacklist(target, until, &cause).await?;
        Ok(Response::new(v1::BlacklistResponse { revoked_at: Some(convert::timestamp(revoked_at)) }))
    }

    type WatchRevocationsStream = watch::Told;

    async fn watch_revocations(
        &self,
        request: Request<v1::WatchRevocationsRequest>,
    ) -> Result<Response<watch::Told>, Status> {
        let caller = Peer::of(&request)?.caller.clone().ok_or_else(status::credentials_missing)?;
        let message = request.get_ref();
        let mut faults = Faults::default();
        let cursor = match message.cursor.as_str() {
            "" => Some(None),
            cursor => faults.parse("cursor", cursor).map(Some),
        };
        let heartbeat = faults.span("heartbeat", message.heartbeat, watch::HEARTBEAT, watch::HEARTBEATS);
        let cursor = faults.unless(cursor)?;
        let watch = self.0.revocations.watch(cursor, heartbeat)?;
        Ok(Response::new(watch::told(Arc::clone(&self.0), caller, watch)))
    }

    async fn get_jwks(&self, _: Request<v1::GetJwksRequest>) -> Result<Response<v1::GetJwksResponse>, Status> {
        let keyring = &self.0.keyring;
        let keys = keyring.keys().set.to_jwks().keys.into_iter().map(convert::jwk).collect();
        let cache_ttl = Some(convert::duration(keyring.cache_lifetime()));
        Ok(Response::new(v1::GetJwksResponse { keys, cache_ttl }))
    }
}
