//! Why a token was refused. Owns the names that logs and metrics count by; callers of the service never see them.

use super::json::JsonError;

/// The reason for which a token is refused. There is one for each check, so that tests can tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is longer than [`super::MAX_COMPACT_BYTES`].
    #[error("the token is too long")]
    TooLong,
    /// It is not three parts of canonical base64url with dots between.
    #[error("the token is not in compact form")]
    NotCompact,
    /// The header is not a JSON object that can be read in one way only.
    #[error("the header is malformed: {0}")]
    HeaderMalformed(JsonError),
    /// A header parameter is missing or has the wrong type.
    #[error("the header parameter `{0}` is missing or malformed")]
    HeaderInvalid(&'static str),
    /// The header has a parameter that changes how the token must be read, and which is not understood here.
    #[error("the header parameter `{0}` is not understood")]
    HeaderNotUnderstood(&'static str),
    /// No key of that name is in the set, or the token names none while the set has several.
    #[error("the token was signed with an unknown key")]
    UnknownKey,
    /// The header names another algorithm than the key's.
    #[error("the token names another algorithm than its key")]
    AlgorithmMismatch,
    /// The signature is not the key's over this text.
    #[error("the signature is wrong")]
    BadSignature,
    /// It is a token of another kind.
    #[error("the token is of another kind")]
    WrongType,
    /// The payload is not a JSON object that can be read in one way only.
    #[error("the claims are malformed: {0}")]
    ClaimsMalformed(JsonError),
    /// A claim that every token has is not there.
    #[error("the claim `{0}` is missing")]
    ClaimMissing(&'static str),
    /// A claim has the wrong type or a value out of range.
    #[error("the claim `{0}` is malformed")]
    ClaimInvalid(&'static str),
    /// Somebody else issued it.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// It is meant for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// Its life is over.
    #[error("the token has expired")]
    Expired,
    /// Its life has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// It claims to have been issued in the future.
    #[error("the token is issued in the future")]
    IssuedInFuture,
}

impl Rejection {
    /// A stable name for metrics and logs.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotCompact => "not_compact",
            Self::HeaderMalformed(_) => "header_malformed",
            Self::HeaderInvalid(_) => "header_invalid",
            Self::HeaderNotUnderstood(_) => "header_not_understood",
            Self::UnknownKey => "unknown_key",
            Self::AlgorithmMismatch => "algorithm_mismatch",
            Self::BadSignature => "bad_signature",
            Self::WrongType => "wrong_type",
            Self::ClaimsMalformed(_) => "claims_malformed",
            Self::ClaimMissing(_) => "claim_missing",
            Self::ClaimInvalid(_) => "claim_invalid",
            Self::WrongIssuer => "wrong_issuer",
            Self::WrongAudience => "wrong_audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
        }
    }
}
