//! Who calls, told from memory. What is to become of it is for the gate.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use tonic::{Request, Status};

use super::cookies;
use super::readers::Readers;
use crate::app::App;
use crate::gateway::bearer;
use crate::identity::API_KEY_PREFIX;
use crate::model::{Actor, Caller, Cause, CertificateName, Permission, Roles};
use crate::token::{AccessClaims, Demands, Inactive, Judgement, Known, Rejection};

static API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What is known of the other end of a connection, before it says anything.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it is.
    pub address: IpAddr,
    /// The names in its certificate, where it has one that is believed.
    pub names: Arc<[CertificateName]>,
    /// Those that read long answers over it.
    pub readers: Arc<Readers>,
}

/// Who makes a request: a caller, the holder of an access token, both (a service that acts for its user), or nobody known.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// The service or gateway whose API key came along.
    pub caller: Option<Arc<Caller>>,
    /// The holder of the access token that came along.
    pub holder: Option<Holder>,
    /// Whether something came along as a credential that is none.
    pub refused: Option<Refused>,
    /// Whether cookies are taken from it, and given to it.
    pub has_cookies: bool,
    /// The other end of the connection.
    pub address: IpAddr,
    /// What this request is called: as the peer calls it in the metadata `x-request-id`, or as we do.
    pub request_id: String,
}

/// The holder of an access token.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// The token.
    pub token: Arc<Known>,
    /// Whether this node's knowledge of revocations was fresh enough to be sure of it.
    pub sure: bool,
}

/// A credential that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An access token that does not count.
    AccessToken,
    /// An access token of a key that this node has not heard of; the database may have.
    UnknownKey,
    /// An API key that nobody has.
    ApiKey,
}

impl Peer {
    /// Who sends these metadata over this connection, as far as memory tells.
    pub(crate) fn recognise(app: &App, metadata: &HeaderMap, link: &Link) -> Self {
        let (address, request_id) = (link.address, String::new());
        let has_cookies = cookies::are_for(metadata, app);
        let mut peer = Self { caller: None, holder: None, refused: None, has_cookies, address, request_id };
        if let Some(key) = metadata.get(&API_KEY) {
            peer.note_key(app, key.to_str().unwrap_or_default());
        }
        if let Some(credential) = metadata.get(&AUTHORIZATION) {
            match bearer(credential.to_str().unwrap_or_default()) {
                Some(key) if key.starts_with(API_KEY_PREFIX) => peer.note_key(app, key),
                Some(token) => peer.note_token(app, token),
                None => peer.refused = peer.refused.or(Some(Refused::AccessToken)),
            }
        } else if let Some(token) = cookies::access_token(metadata, app) {
            peer.note_token(app, token);
        }
        // A key says more exactly who calls, so that several callers may share a machine and its certificate.
        if peer.caller.is_none() && !link.names.is_empty() {
            peer.caller = app.callers.by_certificate(&link.names);
        }
        peer
    }

    fn note_key(&mut self, app: &App, key: &str) {
        match app.callers.by_key(key) {
            Some(caller) => self.caller = Some(caller),
            None => self.refused = Some(Refused::ApiKey),
        }
    }

    fn note_token(&mut self, app: &App, token: &str) {
        match app.access.judge(token, Demands::default()) {
            Judgement::Active(token) => self.holder = Some(Holder { token, sure: true }),
            Judgement::Unsure(token) => self.holder = Some(Holder { token, sure: false }),
            Judgement::Inactive(Inactive::Rejected(Rejection::UnknownKey)) => {
                self.refused = self.refused.or(Some(Refused::UnknownKey));
            }
            Judgement::Inactive(_) => self.refused = self.refused.or(Some(Refused::AccessToken)),
        }
    }

    /// What kind of peer it is, for traces and the log: nothing that tells who.
    pub(crate) fn kind(&self) -> &'static str {
        match (&self.caller, &self.holder) {
            (Some(_), Some(_)) => "caller for a person",
            (Some(_), None) => "caller",
            (None, Some(holder)) if holder.token.claims.anon => "visitor",
            (None, Some(_)) => "person",
            (None, None) => "unknown",
        }
    }

    /// Whether a caller with this permission calls.
    pub(crate) fn may(&self, permission: Permission) -> bool {
        self.caller.as_ref().is_some_and(|caller| caller.permissions.contains(permission))
    }

    /// Whether somebody who administers the service calls.
    pub(crate) fn is_administrator(&self) -> bool {
        let by_role = |holder: &Holder| {
            let claims = &holder.token.claims;
            !claims.anon && claims.roles.iter().any(|role| role == Roles::ADMIN)
        };
        self.may(Permission::Admin) || self.holder.as_ref().is_some_and(by_role)
    }

    /// What the token of the person says who calls.
    pub(crate) fn person(&self) -> Result<&AccessClaims, Status> {
        let person = self.holder.as_ref().map(|holder| &holder.token.claims).filter(|claims| !claims.anon);
        person.ok_or_else(super::status::credentials_missing)
    }

    /// Who is to be named in the audit trail.
    pub(crate) fn actor(&self) -> Actor {
        match (&self.caller, &self.holder) {
            (Some(caller), _) => Actor::Caller(caller.id),
            (None, Some(holder)) => Actor::Account(holder.token.claims.sub),
            (None, None) => Actor::Owner,
        }
    }

    /// The circumstances of what this peer does, but for what it is.
    pub(crate) fn cause(&self, at: DateTime<Utc>) -> Cause {
        let request_id = self.request_id.clone();
        Cause { at, actor: self.actor(), ip: self.address.to_string(), request_id, detail: String::new() }
    }

    /// The peer of a request that has come through the door.
    pub(crate) fn of<T>(request: &Request<T>) -> Result<&Self, Status> {
        request.extensions().get().ok_or_else(|| super::status::internal("a request came in past the gate"))
    }
}

/// The access token that comes along, wherever it stands.
pub(crate) fn access_token<'a>(headers: &'a HeaderMap, app: &App) -> Option<&'a str> {
    match headers.get(&AUTHORIZATION) {
        Some(credential) => credential.to_str().ok().and_then(bearer),
        None => cookies::access_token(headers, app),
    }
}
