//! What became of a message at a provider. The difference that counts is whether it may have been sent.

use reqwest::StatusCode;

/// What became of a message at a provider. The reasons name no person, no code and no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The provider has taken it over.
    Sent,
    /// It was not sent because of whom it was for. Nobody else is asked.
    Refused(String),
    /// It was surely not sent, for a reason of the provider's. Somebody else may be asked.
    Failed(String),
    /// It may have been sent. Nobody else is asked: two codes confuse more than one that has to be asked for again.
    Unknown(String),
}

impl Verdict {
    /// Its name in figures and in the log.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why, where there is more to say.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Sent => "",
            Self::Refused(reason) | Self::Failed(reason) | Self::Unknown(reason) => reason,
        }
    }

    /// Whether it speaks for the provider. A number that does not exist is not the provider's failure.
    pub(super) const fn is_well(&self) -> bool {
        matches!(self, Self::Sent | Self::Refused(_))
    }
}

impl From<reqwest::Error> for Verdict {
    fn from(error: reqwest::Error) -> Self {
        // The address may hold a key.
        let error = error.without_url();
        let mut reason = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            reason = format!("{reason}: {error}");
            cause = error.source();
        }
        // Without a connection nothing has left.
        if error.is_connect() || error.is_builder() { Self::Failed(reason) } else { Self::Unknown(reason) }
    }
}

/// What an answer is worth that does not say what the provider's documentation promises.
pub(super) fn undocumented(status: StatusCode) -> Verdict {
    Verdict::Unknown(format!("an answer that is not documented, with status {}", status.as_u16()))
}
