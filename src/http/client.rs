//! Who asks over HTTP: a service with an API key, or the holder of an access token.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::fault::Fault;
use crate::app::App;
use crate::gateway::bearer;
use crate::identity::API_KEY_PREFIX;
use crate::model::{Caller, Permission};

/// The header for API keys where `authorization` is somebody else's.
const API_KEY: &str = "x-api-key";

/// What a request brings to say who asks.
pub(super) enum Client<'h> {
    /// A service.
    Caller(Arc<Caller>),
    /// What may be an access token.
    Token(&'h str),
}

impl<'h> Client<'h> {
    /// Whoever these headers speak of. The API key is the password of HTTP Basic (RFC 6749 §2.3.1), whatever the user is
    /// called, or stands where a token would.
    pub(super) fn of(headers: &'h HeaderMap, app: &App) -> Result<Self, Fault> {
        if headers.contains_key(API_KEY) {
            return caller_by_header(headers, app).map(Self::Caller);
        }
        let credential =
            headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or(Fault::InvalidClient)?;
        let key = match bearer(credential) {
            Some(key) if key.starts_with(API_KEY_PREFIX) => key.to_owned(),
            Some(token) => return Ok(Self::Token(token)),
            None => basic_password(credential).ok_or(Fault::InvalidClient)?,
        };
        app.callers.by_key(&key).map(Self::Caller).ok_or(Fault::InvalidClient)
    }

    /// The service that asks, if it may.
    pub(super) fn caller(headers: &HeaderMap, app: &App, permission: Permission) -> Result<Arc<Caller>, Fault> {
        match Client::of(headers, app)? {
            Client::Caller(caller) => allowed(caller, permission),
            Client::Token(_) => Err(Fault::InvalidClient),
        }
    }
}

/// The gateway that asks about somebody else's request, if it may.
pub(super) fn gateway(headers: &HeaderMap, app: &App) -> Result<Arc<Caller>, Fault> {
    caller_by_header(headers, app).and_then(|caller| allowed(caller, Permission::Check))
}

/// A caller, where it has this permission.
pub(super) fn allowed(caller: Arc<Caller>, permission: Permission) -> Result<Arc<Caller>, Fault> {
    if caller.permissions.contains(permission) { Ok(caller) } else { Err(Fault::UnauthorizedClient) }
}

fn caller_by_header(headers: &HeaderMap, app: &App) -> Result<Arc<Caller>, Fault> {
    let key = headers.get(API_KEY).and_then(|value| value.to_str().ok()).unwrap_or_default();
    app.callers.by_key(key).ok_or(Fault::InvalidClient)
}

/// The password of HTTP Basic (RFC 7617), which OAuth has encoded as in a form.
fn basic_password(credential: &str) -> Option<String> {
    let (scheme, encoded) = credential.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (_, password) = pair.split_once(':')?;
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
        assert_eq!(basic_password("Basic ???"), None);
        assert_eq!(basic_password("Digest Y3NrOmE="), None);
    }
}
