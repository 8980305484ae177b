//! The headers that tell an upstream who a request is from. Nothing that a client sends under these names may reach it.

use crate::token::AccessClaims;

/// The headers, in lower case.
pub const IDENTITY: [&str; 5] =
    ["x-auth-subject", "x-auth-session", "x-auth-roles", "x-auth-scopes", "x-auth-anonymous"];

/// What they say of somebody, in the order of [`IDENTITY`]. Those without a value must not reach an upstream at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity(pub [Option<String>; 5]);

impl Identity {
    /// Who holds this token.
    #[must_use]
    pub fn of(claims: &AccessClaims) -> Self {
        Self([
            Some(claims.sub.to_string()),
            claims.sid.map(|sid| sid.to_string()),
            // Names of roles have no commas.
            (!claims.roles.is_empty()).then(|| claims.roles.join(",")),
            (!claims.scope.is_empty()).then(|| claims.scope.clone()),
            Some(claims.anon.to_string()),
        ])
    }

    /// Each header that has a value.
    pub fn told(&self) -> impl Iterator<Item = (&'static str, &str)> {
        IDENTITY.into_iter().zip(&self.0).filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }

    /// Each that has none.
    pub fn untold(&self) -> impl Iterator<Item = &'static str> {
        IDENTITY.into_iter().zip(&self.0).filter(|(_, value)| value.is_none()).map(|(name, _)| name)
    }
}

/// Whether a header is one of the five by another spelling. Many frameworks turn `x_auth_subject`, or whatever else stands
/// between the words, into the same variable as `x-auth-subject`. Case makes no other name.
#[must_use]
pub fn is_shadow(name: &[u8]) -> bool {
    let [b'x' | b'X', second, ..] = name else { return false };
    let reads_as = |own: &str| {
        let same = |(theirs, ours): (&u8, u8)| match ours {
            b'-' => !theirs.is_ascii_alphanumeric(),
            letter => theirs.eq_ignore_ascii_case(&letter),
        };
        own.len() == name.len() && !name.eq_ignore_ascii_case(own.as_bytes()) && name.iter().zip(own.bytes()).all(same)
    };
    !second.is_ascii_alphanumeric() && IDENTITY.into_iter().any(reads_as)
}
