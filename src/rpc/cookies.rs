//! Tokens in cookies, for browsers: set and cleared in the metadata of answers, read from the metadata of requests. A script
//! in the page sees neither. Off unless configured, and not for pages of sites that are not on the list (`cors`).

use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{COOKIE, ORIGIN};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Response, Status};

use super::convert;
use super::peer::Peer;
use crate::app::App;
use crate::config::Cookies;
use crate::cors::trusts_cookies;
use crate::gateway::cookie;
use crate::proto::v1;
use crate::session::TokenPair;

/// An answer that signs somebody in: the tokens are in its message, and in cookies where those are configured.
pub(super) fn signed_in<T>(message: T, app: &App, peer: &Peer, pair: &TokenPair) -> Response<T> {
    let mut response = Response::new(message);
    if peer.has_cookies {
        set(response.metadata_mut(), &app.config.cookies, pair, app.clock.now());
    }
    response
}

/// An answer after which the client's session is over.
pub(super) fn signed_out<T>(message: T, app: &App, peer: &Peer) -> Response<T> {
    let mut response = Response::new(message);
    if peer.has_cookies {
        clear(response.metadata_mut(), &app.config.cookies);
    }
    response
}

/// A refusal that says that what the cookies hold is worth nothing any more.
pub(super) fn worthless(mut refusal: Status, app: &App, peer: &Peer) -> Status {
    if peer.has_cookies {
        clear(refusal.metadata_mut(), &app.config.cookies);
    }
    refusal
}

/// The tokens of an answer to somebody whose refresh token came in a cookie: a script in the page, which could not read that
/// one, must not read the next one here.
pub(super) fn hidden(pair: &TokenPair, now: DateTime<Utc>) -> v1::Tokens {
    v1::Tokens { access_token: String::new(), refresh_token: String::new(), ..convert::tokens(pair, now) }
}

/// Whether cookies are taken from whoever sends these metadata, and given to them.
pub(super) fn are_for(headers: &HeaderMap, app: &App) -> bool {
    let origins = headers.get_all(ORIGIN).into_iter().map(http::HeaderValue::as_bytes);
    app.config.cookies.set_cookies && trusts_cookies(&app.config.web, origins)
}

/// The access token that came in a cookie.
pub(super) fn access_token<'a>(headers: &'a HeaderMap, app: &App) -> Option<&'a str> {
    if are_for(headers, app) { value(headers, &app.config.cookies.access) } else { None }
}

/// The refresh token that came in a cookie.
pub(super) fn refresh_token<'a>(metadata: &'a MetadataMap, app: &App, peer: &Peer) -> Option<&'a str> {
    if peer.has_cookies { value(metadata.as_ref(), &app.config.cookies.refresh) } else { None }
}

/// A cookie's value. HTTP/2 may bring each cookie in a header of its own (RFC 9113 §8.2.3).
fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut texts = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    texts.find_map(|text| cookie(text, name))
}

fn set(metadata: &mut MetadataMap, cookies: &Cookies, pair: &TokenPair, now: DateTime<Utc>) {
    let lasts = |until: DateTime<Utc>| (until - now).num_seconds().max(0);
    append(metadata, cookies, &cookies.access, pair.access.token.expose(), lasts(pair.access.expires_at));
    append(metadata, cookies, &cookies.refresh, pair.refresh_token.expose(), lasts(pair.refresh_expires_at));
}

fn clear(metadata: &mut MetadataMap, cookies: &Cookies) {
    append(metadata, cookies, &cookies.access, "", 0);
    append(metadata, cookies, &cookies.refresh, "", 0);
}

fn append(metadata: &mut MetadataMap, cookies: &Cookies, name: &str, value: &str, seconds: i64) {
    let same_site = cookies.same_site.as_str();
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite={same_site}");
    // Names are checked with the configuration, and tokens are of letters, digits, `-`, `_` and `.`.
    if let Ok(cookie) = MetadataValue::try_from(cookie) {
        metadata.append("set-cookie", cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "theme=dark; x__Host-c-access=no; __Host-c-access=one".parse().unwrap());
        headers.append(COOKIE, "__Host-c-refresh=csr_two==".parse().unwrap());
        assert_eq!(value(&headers, "__Host-c-access"), Some("one"));
        assert_eq!(value(&headers, "__Host-c-refresh"), Some("csr_two=="));
        assert_eq!(value(&headers, "theme"), Some("dark"));
        assert_eq!(value(&headers, "other"), None);
        headers.insert(COOKIE, "__Host-c-access=; broken; =".parse().unwrap());
        assert_eq!(value(&headers, "__Host-c-access"), None);
    }
}
