//! `/auth/check`: whether a request may pass, for gateways that ask over HTTP, such as nginx with `auth_request`. What is
//! decided, and how it is told, is what Envoy gets.
//!
//! What is needed stands in the query alone, which the gateway's configuration writes: gateways send a client's headers along,
//! and nobody may say for themself what they need.

use axum::Extension;
use axum::extract::{Request, State as Shared};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::client::gateway;
use super::fault::{Fault, refused};
use super::{Remote, View};
use crate::app::App;
use crate::cors::trusts_cookies;
use crate::gateway::{self, Identity, Needs, Presented, Refusal, Unreadable, Verdict, cookie};

/// Answers with 200 and who it is, or with why not.
pub(super) async fn check(
    Shared(view): Shared<View>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Response {
    let app = &view.app;
    let _turn = match gateway(request.headers(), &remote, app) {
        Ok(turn) => turn,
        // To whoever sends the request this is no fault of theirs: they are not asked for another token.
        Err(Fault::InvalidClient) => return refused(&Refusal::gateway_unknown()),
        Err(other) => return other.into_response(),
    };
    let query: Vec<_> = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()).collect();
    let needs = match needs(&query) {
        Ok(needs) => needs,
        Err(need) => {
            view.complaint.raise(need, app.clock.now());
            return refused(&Refusal::needs_unreadable());
        }
    };
    match gateway::judge(&app.access, presented(request.headers(), app), &needs).await {
        Verdict::Holder(known) => passes(&Identity::of(&known.claims)),
        Verdict::Nobody => passes(&Identity::default()),
        Verdict::Refused(refusal) => refused(&refusal),
    }
}

/// What a query needs, or the name of what in it is not understood.
fn needs(query: &[(impl AsRef<str>, impl AsRef<str>)]) -> Result<Needs<'_>, &str> {
    let mut needs = Needs::default();
    for (name, value) in query {
        needs.add(name.as_ref(), value.as_ref()).map_err(|Unreadable| name.as_ref())?;
    }
    Ok(needs)
}

fn presented<'h>(headers: &'h HeaderMap, app: &App) -> Presented<'h> {
    let authorization = headers.get_all(AUTHORIZATION).into_iter();
    let authorization = authorization.map(|value| Presented::in_authorization(value.as_bytes()));
    let authorization = authorization.fold(Presented::Nothing, Presented::and);
    let cookies = &app.config.cookies;
    let mut texts = headers.get_all(COOKIE).into_iter().filter_map(|header| header.to_str().ok());
    let mut in_cookie = || texts.find_map(|text| cookie(text, &cookies.access));
    let origins = headers.get_all(header::ORIGIN).into_iter().map(HeaderValue::as_bytes);
    let has_cookies = cookies.set_cookies && trusts_cookies(&app.config.web, origins);
    authorization.or_cookie(if has_cookies { in_cookie() } else { None })
}

fn passes(identity: &Identity) -> Response {
    let mut response = (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response();
    for (name, value) in identity.told() {
        match HeaderValue::from_str(value) {
            Ok(value) => response.headers_mut().insert(name, value),
            // It cannot be told, so nothing may pass on it.
            Err(_) => return refused(&Refusal::internal()),
        };
    }
    response
}
