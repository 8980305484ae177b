//! How an access token comes along with a request of HTTP (RFC 6750): after its scheme, or in a cookie.

/// What a request brings.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Presented<'a> {
    /// Nothing.
    #[default]
    Nothing,
    /// What may be an access token.
    Token(&'a str),
    /// A credential that is none: of another kind, several, or unreadable.
    Unusable,
}

// Not derived, because a token must not be printed.
impl std::fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token([redacted])",
            Self::Unusable => "Unusable",
        })
    }
}

impl<'a> Presented<'a> {
    /// What a header `authorization` brings.
    #[must_use]
    pub fn in_authorization(value: &'a [u8]) -> Self {
        match std::str::from_utf8(value).ok().and_then(bearer) {
            Some(token) if !token.is_empty() => Self::Token(token),
            _ => Self::Unusable,
        }
    }

    /// This, and what another header of the same name brings: of two credentials neither counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, only) | (only, Self::Nothing) => only,
            _ => Self::Unusable,
        }
    }

    /// This, or what came in a cookie where there is no other credential.
    #[must_use]
    pub fn or_cookie(self, cookie: Option<&'a str>) -> Self {
        match (self, cookie) {
            (Self::Nothing, Some(token)) => Self::Token(token),
            (own, _) => own,
        }
    }
}

/// What follows the scheme, whose case does not matter (RFC 7235 §2.1).
#[must_use]
pub fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, credential) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credential)
}

/// The value of the cookie of this name in a header `cookie`, where it is not empty.
#[must_use]
pub fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = header.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(own, _)| *own == name).map(|(_, value)| value).filter(|value| !value.is_empty())
}
