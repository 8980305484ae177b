//! Services protected by a verifier. Owns where in a request the token stands, and that [`Identity`] is put where the
//! service behind finds it: in the request's extensions.
//!
//! An interceptor (`interceptor`) cannot wait, so it refuses what only a call could tell. A layer (`layer`) waits where that
//! helps, and speaks both gRPC and HTTP.
//!
//! [`Identity`]: crate::Identity

mod interceptor;
mod layer;

use countersign_token::Rejection;
use http::HeaderMap;
use http::header::AUTHORIZATION;

pub use self::interceptor::TokenInterceptor;
pub use self::layer::{ProtectLayer, Protected};
use crate::refusal::Refusal;

/// The token in `authorization: Bearer …` (RFC 6750 §2.1). The scheme is spelled in any case (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refusal::Missing)?;
    // With two of them, this service and one behind it may each read another.
    if values.next().is_some() {
        return Err(Rejection::NotCompact.into());
    }
    let value = value.to_str().map_err(|_| Rejection::NotCompact)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim_start_matches(' ')),
        _ => Err(Refusal::Missing),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(values: &[&str]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn the_token_is_what_stands_behind_the_scheme() {
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c"] {
            assert_eq!(read(&[good]).as_deref(), Ok("a.b.c"), "{good}");
        }
        for none in [&[][..], &[""], &["a.b.c"], &["Basic YTpi"], &["Bearer"]] {
            assert_eq!(read(none), Err(Refusal::Missing), "{none:?}");
        }
        assert_eq!(read(&["Bearer a.b.c", "Bearer a.b.c"]), Err(Rejection::NotCompact.into()));
        assert_eq!(read(&["Bearer \u{e9}"]), Err(Rejection::NotCompact.into()));
    }
}
