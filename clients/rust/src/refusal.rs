//! Why somebody is not let in, and how they are told: as a gRPC status with the details that the service itself would send,
//! or as an HTTP answer (RFC 6750 §3).

use std::time::Duration;

use countersign_token::Rejection;
use http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::proto::v1::ErrorReason;

pub(crate) const DOMAIN: &str = "countersign";
/// When to try again what could not be judged.
const SOON: Duration = Duration::from_secs(1);

/// Why a request is refused. The variants are for logs: whoever asked learns no more than the three kinds of answers tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no access token in it.
    #[error("there is no access token")]
    Missing,
    /// Its token does not count by itself.
    #[error(transparent)]
    Invalid(#[from] Rejection),
    /// Its token has been taken back.
    #[error("the token was revoked")]
    Revoked,
    /// A visitor came where a person is wanted.
    #[error("the token is a visitor's")]
    Anonymous,
    /// The token does not allow what is wanted.
    #[error("the token lacks the scope `{0}`")]
    Scope(String),
    /// The person does not have a role that is wanted.
    #[error("the person lacks the role `{0}`")]
    Role(String),
    /// The person has none of the roles of which one is wanted.
    #[error("the person has none of the roles {0:?}")]
    AnyRole(Vec<String>),
    /// Nobody can tell now.
    #[error(transparent)]
    Unsure(#[from] Unsure),
}

/// Why a token cannot be judged at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsure {
    /// There are no keys, or none young enough.
    #[error("there are no keys that are young enough to trust")]
    NoKeys,
    /// The token's key is not known, and is being asked for.
    #[error("the token's key is being asked for")]
    UnknownKey,
    /// What is known of revocations is older than the bound.
    #[error("what is known of revocations is too old")]
    Stale,
    /// The service was asked and gave no answer.
    #[error("the service gives no answer")]
    Away,
    /// More tokens wait for an answer than may.
    #[error("too many tokens wait to be judged")]
    Crowded,
}

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Send another token: 401, `UNAUTHENTICATED`.
    Authenticate,
    /// Nothing; this token is not good for it: 403, `PERMISSION_DENIED`.
    Nothing,
    /// Come back: 503, `UNAVAILABLE`.
    Retry,
}

impl Refusal {
    /// What whoever was refused can do about it.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::Missing | Self::Invalid(_) | Self::Revoked => Remedy::Authenticate,
            Self::Anonymous | Self::Scope(_) | Self::Role(_) | Self::AnyRole(_) => Remedy::Nothing,
            Self::Unsure(_) => Remedy::Retry,
        }
    }

    /// The answer to a gRPC call.
    #[must_use]
    pub fn to_status(&self) -> Status {
        let (code, reason, message) = match self {
            Self::Missing => (
                Code::Unauthenticated,
                ErrorReason::CredentialsMissing,
                "this needs an access token in `authorization`",
            ),
            Self::Invalid(_) | Self::Revoked => {
                (Code::Unauthenticated, ErrorReason::AccessTokenInvalid, "the access token does not count")
            }
            Self::Anonymous | Self::Scope(_) | Self::Role(_) | Self::AnyRole(_) => {
                (Code::PermissionDenied, ErrorReason::PermissionDenied, "this caller may not do that")
            }
            Self::Unsure(_) => (
                Code::Unavailable,
                ErrorReason::DependencyUnavailable,
                "whether the access token counts cannot be told at the moment",
            ),
        };
        let mut details = ErrorDetails::with_error_info(reason.as_str_name(), DOMAIN, std::collections::HashMap::new());
        if self.remedy() == Remedy::Retry {
            details.set_retry_info(Some(SOON));
        }
        Status::with_error_details(code, message, details)
    }

    /// The answer to an HTTP request, without a body.
    #[must_use]
    pub fn to_response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = match self.remedy() {
            Remedy::Authenticate => StatusCode::UNAUTHORIZED,
            Remedy::Nothing => StatusCode::FORBIDDEN,
            Remedy::Retry => StatusCode::SERVICE_UNAVAILABLE,
        };
        let headers = response.headers_mut();
        match self {
            // RFC 6750 §3.1: whoever sent nothing at all is not told of errors.
            Self::Missing => drop(headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::Invalid(_) | Self::Revoked => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer error="invalid_token""#));
            }
            Self::Scope(scope) => drop(headers.insert(WWW_AUTHENTICATE, lacking(scope))),
            Self::Anonymous | Self::Role(_) | Self::AnyRole(_) => {
                drop(headers.insert(WWW_AUTHENTICATE, insufficient()));
            }
            Self::Unsure(_) => drop(headers.insert(RETRY_AFTER, HeaderValue::from(SOON.as_secs()))),
        }
        response
    }
}

const fn insufficient() -> HeaderValue {
    HeaderValue::from_static(r#"Bearer error="insufficient_scope""#)
}

/// Names the scope, if it is spelled as scopes are (RFC 6749 §3.3): no quote can end the text early.
fn lacking(scope: &str) -> HeaderValue {
    let proper = scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let named = || HeaderValue::from_str(&format!(r#"Bearer error="insufficient_scope", scope="{scope}""#)).ok();
    proper.then(named).flatten().unwrap_or_else(insufficient)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        refusal.to_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(refusal: &Refusal) -> (u16, String) {
        let response: Response<()> = refusal.to_response();
        let header = response.headers().get(WWW_AUTHENTICATE).or_else(|| response.headers().get(RETRY_AFTER)).unwrap();
        (response.status().as_u16(), header.to_str().unwrap().to_owned())
    }

    #[test]
    fn each_refusal_has_its_two_answers() {
        let table = [
            (Refusal::Missing, Code::Unauthenticated, "CREDENTIALS_MISSING", 401, "Bearer"),
            (
                Rejection::Expired.into(),
                Code::Unauthenticated,
                "ACCESS_TOKEN_INVALID",
                401,
                r#"Bearer error="invalid_token""#,
            ),
            (Refusal::Revoked, Code::Unauthenticated, "ACCESS_TOKEN_INVALID", 401, r#"Bearer error="invalid_token""#),
            (
                Refusal::Anonymous,
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                403,
                r#"Bearer error="insufficient_scope""#,
            ),
            (
                Refusal::Scope("orders.read".to_owned()),
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                403,
                r#"Bearer error="insufficient_scope", scope="orders.read""#,
            ),
            (
                Refusal::Role("staff".to_owned()),
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                403,
                r#"Bearer error="insufficient_scope""#,
            ),
            (
                Refusal::AnyRole(vec!["staff".to_owned(), "admin".to_owned()]),
                Code::PermissionDenied,
                "PERMISSION_DENIED",
                403,
                r#"Bearer error="insufficient_scope""#,
            ),
            (Unsure::Stale.into(), Code::Unavailable, "DEPENDENCY_UNAVAILABLE", 503, "1"),
        ];
        for (refusal, code, reason, status, header) in table {
            let told = refusal.to_status();
            let details = told.get_error_details();
            let info = details.error_info().unwrap();
            assert_eq!((told.code(), info.domain.as_str()), (code, DOMAIN), "{refusal}");
            assert_eq!(info.reason, format!("ERROR_REASON_{reason}"), "{refusal}");
            assert_eq!(details.retry_info().is_some(), code == Code::Unavailable, "{refusal}");
            assert_eq!(http(&refusal), (status, header.to_owned()), "{refusal}");
        }
    }

    #[test]
    fn a_scope_cannot_write_the_header() {
        for scope in ["a\" realm=\"b", "a\r\nset-cookie: b", "a\\", "\u{e9}"] {
            assert_eq!(http(&Refusal::Scope(scope.to_owned())).1, r#"Bearer error="insufficient_scope""#);
        }
    }
}
