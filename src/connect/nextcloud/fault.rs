//! What may go wrong between Nextcloud and us, sorted by whom it concerns. Holds fixed texts and numbers only: what Nextcloud
//! writes may repeat what it was told.

use std::fmt;

use chrono::TimeDelta;

use crate::connect::exchange::Lost;

/// Why Nextcloud did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// It does nothing for anybody: it does not answer, or will not have this service.
    #[error("{trouble}")]
    Away {
        /// What the matter is.
        trouble: CloudTrouble,
        /// How long it wants to be left alone, where it says so.
        retry_after: Option<TimeDelta>,
    },
    /// It works, and has not done this one thing.
    #[error("{0}")]
    Refused(CloudTrouble),
}

/// What the matter is. The number, where there is one, is Nextcloud's own: a status or a code of its API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloudTrouble {
    what: &'static str,
    code: Option<i64>,
}

impl CloudError {
    /// Nobody can be served.
    pub(super) const fn away(what: &'static str, code: Option<i64>) -> Self {
        Self::Away { trouble: CloudTrouble { what, code }, retry_after: None }
    }

    /// This cannot be done.
    pub(super) const fn refused(what: &'static str, code: i64) -> Self {
        Self::Refused(CloudTrouble { what, code: Some(code) })
    }

    /// With how long it wants to be left alone.
    pub(super) fn until(self, span: Option<TimeDelta>) -> Self {
        match self {
            Self::Away { trouble, .. } => Self::Away { trouble, retry_after: span },
            Self::Refused(_) => self,
        }
    }

    /// What a status means for everybody, whatever was asked; nothing where it says something about the question.
    pub(super) fn of_status(status: u16) -> Option<Self> {
        let code = Some(i64::from(status));
        match status {
            300..=399 => Some(Self::away("answers with a redirect, which is not followed: check nextcloud.url", code)),
            407 => Some(Self::away("is behind a proxy that does not let this service through", code)),
            429 => Some(Self::away("is asked too often", code)),
            502..=504 => Some(Self::away("is away, or being maintained", code)),
            _ => None,
        }
    }

    /// What a status means where the answer is not in the form of the API.
    pub(super) fn of_stranger(status: u16) -> Self {
        let code = Some(i64::from(status));
        match status {
            401 => Self::away("does not accept this service: check nextcloud.username and nextcloud.password", code),
            403 => Self::away("does not let this service in: check what stands in front of it", code),
            404 | 405 | 410 => Self::away("is not there: check nextcloud.url", code),
            500..=599 => Self::away("failed", code),
            _ => Self::away("gave an answer that is not understood: check nextcloud.url", code),
        }
    }
}

impl CloudTrouble {
    /// Whether it was only asked too often.
    pub(super) fn is_limit(self) -> bool {
        self.code == Some(429)
    }
}

impl fmt::Display for CloudTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nextcloud {}", self.what)?;
        self.code.map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

impl From<Lost> for CloudError {
    fn from(lost: Lost) -> Self {
        Self::away(lost.what(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_everybody_is_told_from_what_concerns_one() {
        for status in [301, 302, 407, 429, 502, 503, 504] {
            assert!(matches!(CloudError::of_status(status), Some(CloudError::Away { .. })), "{status}");
        }
        for status in [200, 201, 400, 401, 403, 404, 405, 423, 500, 507] {
            assert_eq!(CloudError::of_status(status), None, "{status}");
        }
        let away = CloudError::away("is away", Some(503)).until(Some(TimeDelta::seconds(120)));
        assert_eq!(away.to_string(), "Nextcloud is away (503)");
        assert_eq!(CloudError::refused("has no such group", 104).to_string(), "Nextcloud has no such group (104)");
    }
}
