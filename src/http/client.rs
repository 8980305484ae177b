//! Who asks over HTTP: a service with an API key or a certificate, or the holder of an access token.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Remote;
use super::fault::Fault;
use crate::app::App;
use crate::gateway::bearer;
use crate::identity::API_KEY_PREFIX;
use crate::load::Turn;
use crate::model::{Caller, Permission};

/// The header for API keys where `authorization` is somebody else's.
const API_KEY: &str = "x-api-key";
/// Of several credentials, none says who asks (RFC 6749 §5.2).
const SEVERAL: Fault = Fault::InvalidRequest("only one credential may come along");

/// What a request brings to say who asks.
pub(super) enum Client<'h> {
    /// A service.
    Caller(Arc<Caller>),
    /// What may be an access token.
    Token(&'h str),
}

impl<'h> Client<'h> {
    /// Whoever these headers speak of. The API key is the password of HTTP Basic (RFC 6749 §2.3.1), whatever the user is
    /// called, or stands where a token would. Where they speak of nobody, it is whoever the connection belongs to.
    pub(super) fn of(headers: &'h HeaderMap, remote: &Remote, app: &App) -> Result<Self, Fault> {
        let credential = match (only(headers, API_KEY)?, only(headers, AUTHORIZATION.as_str())?) {
            (Some(_), Some(_)) => return Err(SEVERAL),
            (Some(key), None) => return by_key(key, remote, app).map(Self::Caller),
            (None, None) => return by_certificate(remote, app).map(Self::Caller),
            (None, Some(credential)) => credential,
        };
        let key = match bearer(credential) {
            Some(key) if key.starts_with(API_KEY_PREFIX) => key.to_owned(),
            Some(token) => return Ok(Self::Token(token)),
            None => basic_password(credential).ok_or_else(|| unknown(remote, app))?,
        };
        by_key(&key, remote, app).map(Self::Caller)
    }

    /// The turn of the service that asks, if it may.
    pub(super) fn turn(
        headers: &HeaderMap,
        remote: &Remote,
        app: &App,
        permission: Permission,
    ) -> Result<Option<Turn>, Fault> {
        match Client::of(headers, remote, app)? {
            Client::Caller(caller) => Ok(app.load.turn_of(&*allowed(caller, permission)?)?),
            Client::Token(_) => Err(unknown(remote, app)),
        }
    }
}

/// The turn of the gateway that asks about somebody else's request, if it may. What stands in `authorization` is that somebody's.
pub(super) fn gateway(headers: &HeaderMap, remote: &Remote, app: &App) -> Result<Option<Turn>, Fault> {
    let caller = match only(headers, API_KEY)? {
        Some(key) => by_key(key, remote, app)?,
        None => by_certificate(remote, app)?,
    };
    Ok(app.load.turn_of(&*allowed(caller, Permission::Check)?)?)
}

/// A caller, where it has this permission.
pub(super) fn allowed(caller: Arc<Caller>, permission: Permission) -> Result<Arc<Caller>, Fault> {
    if caller.permissions.contains(permission) { Ok(caller) } else { Err(Fault::UnauthorizedClient) }
}

fn by_key(key: &str, remote: &Remote, app: &App) -> Result<Arc<Caller>, Fault> {
    app.callers.by_key(key).ok_or_else(|| unknown(remote, app))
}

fn by_certificate(remote: &Remote, app: &App) -> Result<Arc<Caller>, Fault> {
    let names = Some(&remote.names).filter(|names| !names.is_empty());
    names.and_then(|names| app.callers.by_certificate(names)).ok_or_else(|| unknown(remote, app))
}

/// What somebody is told who is no caller: that, or that they have asked too often.
fn unknown(remote: &Remote, app: &App) -> Fault {
    app.load.count_stranger(remote.address).err().map_or(Fault::InvalidClient, Fault::from)
}

/// What a header says that may come once. What is no text is no credential, but it is there.
fn only<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().unwrap_or_default())),
        (Some(_), Some(_)) => Err(SEVERAL),
    }
}

/// The password of HTTP Basic (RFC 7617), which OAuth has encoded as in a form. There are no further fields behind it.
fn basic_password(credential: &str) -> Option<String> {
    let (scheme, encoded) = credential.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
    if password.contains(['&', '=']) {
        return None;
    }
    // A form with a single name and no value.
    let (password, _) = form_urlencoded::parse(password.as_bytes()).next()?;
    Some(password.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_basic_is_decoded_twice() {
        let basic = |pair: &str| basic_password(&format!("bAsIc {}", STANDARD.encode(pair)));
        assert_eq!(basic("gateway:csk_a-b_c").as_deref(), Some("csk_a-b_c"));
        assert_eq!(basic("a%3Ab:csk%5Fabc").as_deref(), Some("csk_abc"));
        assert_eq!(basic(":csk_abc").as_deref(), Some("csk_abc"));
        assert_eq!(basic("csk_abc"), None);
        assert_eq!(basic("a:"), None);
        for more in ["a:csk_abc&x", "a:csk_abc&", "a:csk_abc=", "a:csk_abc=x&y=z", "a:&csk_abc"] {
            assert_eq!(basic(more), None, "{more}");
        }
        assert_eq!(basic_password("Basic ???"), None);
        assert_eq!(basic_password("Digest Y3NrOmE="), None);
    }
}
