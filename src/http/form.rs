//! Forms as OAuth sends them: small, of one type, and no parameter twice (RFC 6749 §3.2).

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};

use super::fault::Fault;
use crate::token::MAX_COMPACT_BYTES;

/// The largest body that is read.
const MAX_BODY: usize = 16 * 1024;
/// How long it may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
const FORM: &str = "application/x-www-form-urlencoded";

/// What stands in the form of a request about a token.
#[derive(Default)]
pub(super) struct Form {
    /// The token.
    pub token: String,
    /// Whom it should be meant for, where that is asked.
    pub audience: Option<String>,
}

/// Reads it. Parameters that are not known are passed by.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Form, Fault> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(FORM) {
        return Err(Fault::InvalidRequest("the body must be a form (application/x-www-form-urlencoded)"));
    }
    let body = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_BODY)).await.map_err(|_| Fault::TooSlow)?;
    let body = body.map_err(|_| Fault::TooLarge)?;
    let (mut token, mut audience, mut hint) = (None, None, None);
    for (name, value) in form_urlencoded::parse(&body) {
        let place = match name.as_ref() {
            "token" => &mut token,
            "audience" => &mut audience,
            // Only a hint: which kind a token is of can be told from itself (RFC 7662 §2.1).
            "token_type_hint" => &mut hint,
            _ => continue,
        };
        if place.replace(value.into_owned()).is_some() {
            return Err(Fault::InvalidRequest("a parameter stands there twice"));
        }
    }
    match token {
        Some(token) if (1..=MAX_COMPACT_BYTES).contains(&token.len()) => {
            Ok(Form { token, audience: audience.filter(|audience| !audience.is_empty()) })
        }
        _ => Err(Fault::InvalidRequest("`token` must be from 1 to 8192 bytes")),
    }
}
