//! Errors over HTTP, in the words of OAuth (RFC 6749 §5.2, RFC 7009 §2.2.1). Whatever a token is about, none of them tells.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::gateway::Refusal;
use crate::load::{Exceeded, Shed};
use crate::token::AccessError;

/// Why a request has no other answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody known asks.
    InvalidClient,
    /// Whoever asks may not.
    UnauthorizedClient,
    /// The holder's own access token does not count.
    InvalidToken,
    /// The request is malformed.
    InvalidRequest(&'static str),
    /// The body does not arrive.
    TooSlow,
    /// The body is too large.
    TooLarge,
    /// What is to be taken back is no token of a kind that can be.
    UnsupportedTokenType,
    /// It cannot be answered now.
    Unavailable,
    /// Whoever asks takes more than they may; there is room again in so many microseconds.
    Exceeded(i64),
    /// A defect of ours, which has been logged.
    Internal,
}

impl From<AccessError> for Fault {
    fn from(error: AccessError) -> Self {
        if error.is_passing() {
            tracing::debug!(%error, "a request over HTTP cannot be answered");
            return Self::Unavailable;
        }
        tracing::error!(%error, "internal error");
        Self::Internal
    }
}

impl From<Shed> for Fault {
    fn from(_: Shed) -> Self {
        Self::Unavailable
    }
}

impl From<Exceeded> for Fault {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded.retry_after)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, error, description) = match self {
            Self::InvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client", "an API key is needed"),
            Self::UnauthorizedClient => (StatusCode::FORBIDDEN, "unauthorized_client", "this caller may not do that"),
            Self::InvalidToken => return refused(&Refusal::token_invalid()),
            Self::InvalidRequest(what) => (StatusCode::BAD_REQUEST, "invalid_request", what),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "invalid_request", "the body took too long to arrive"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "the body is too large"),
            Self::UnsupportedTokenType => {
                (StatusCode::BAD_REQUEST, "unsupported_token_type", "this is neither an access nor a refresh token")
            }
            Self::Unavailable => return refused(&Refusal::unknown()),
            Self::Exceeded(micros) => {
                let seconds = micros.div_euclid(1_000_000) + 1;
                return refused(&Refusal::exceeded(u32::try_from(seconds).unwrap_or(1)));
            }
            Self::Internal => return refused(&Refusal::internal()),
        };
        let body = Json(json!({ "error": error, "error_description": description }));
        let mut response = (status, [(header::CACHE_CONTROL, "no-store")], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"countersign\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// A refusal that gateways get in other forms as well.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let form = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (status, form, refusal.body()).into_response();
    let headers = response.headers_mut();
    if let Some(challenge) = refusal.www_authenticate().and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}
