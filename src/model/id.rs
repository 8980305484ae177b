//! Identifiers. Each kind of thing has a type of its own, so that one cannot be passed for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID in its hyphenated form")]
pub struct InvalidId;

/// Reads the hyphenated form only, in either case: some platforms write capitals.
fn parse(text: &str) -> Result<Uuid, InvalidId> {
    if text.len() != 36 {
        return Err(InvalidId);
    }
    Uuid::try_parse(text).map_err(|_| InvalidId)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A person, or an anonymous visitor (whose identifier no account row has).
    AccountId;
    /// One sign-in on one device: the root of its refresh and access tokens.
    SessionId;
    /// One access token (`jti`).
    TokenId;
    /// A service or gateway that calls this one.
    CallerId;
    /// One request for a code.
    ChallengeId;
    /// What a client chose to name one intent by, kept over its retries.
    RequestId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_accepted() {
        let id: AccountId = "01890000-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(id.to_string(), "01890000-0000-7000-8000-000000000001");
        let capitals: RequestId = "0189ABCD-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(capitals.to_string(), "0189abcd-0000-7000-8000-000000000001");
        for bad in [
            "",
            "x",
            "01890000000070008000000000000001",
            "{01890000-0000-7000-8000-000000000001}",
            "urn:uuid:01890000-0000-7000-8000-000000000001",
        ] {
            assert_eq!(bad.parse::<AccountId>(), Err(InvalidId), "{bad}");
        }
    }
}
