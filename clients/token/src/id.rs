//! Identifiers. Each kind of thing has a type of its own, so that one cannot be passed for another.

use uuid::Uuid;

/// A text that is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID in its hyphenated form")]
pub struct InvalidId;

impl InvalidId {
    /// Reads the hyphenated form only, in either case: some platforms write capitals.
    #[doc(hidden)]
    pub fn unless(text: &str) -> Result<Uuid, Self> {
        if text.len() != 36 {
            return Err(Self);
        }
        Uuid::try_parse(text).map_err(|_| Self)
    }
}

/// Makes types of identifiers.
#[doc(hidden)]
#[macro_export]
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $crate::uuid::Uuid);

        impl ::std::str::FromStr for $name {
            type Err = $crate::InvalidId;

            fn from_str(text: &str) -> Result<Self, $crate::InvalidId> {
                $crate::InvalidId::unless(text).map(Self)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_accepted() {
        let id: AccountId = "01890000-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(id.to_string(), "01890000-0000-7000-8000-000000000001");
        let capitals: TokenId = "0189ABCD-0000-7000-8000-000000000001".parse().unwrap();
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
