//! What a provider of identities vouches for.

use std::fmt;
use std::str::FromStr;

use super::BirthDate;

/// Who vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// Zibal, which asks the civil registry and the registry of telephone numbers.
    Zibal,
    /// An HTTP endpoint of the operator's own.
    Http,
}

impl IdentitySource {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zibal => "zibal",
            Self::Http => "http",
        }
    }
}

/// A text that names no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `zibal` or `http`")]
pub struct InvalidIdentitySource;

impl FromStr for IdentitySource {
    type Err = InvalidIdentitySource;

    fn from_str(text: &str) -> Result<Self, InvalidIdentitySource> {
        [Self::Zibal, Self::Http].into_iter().find(|source| source.as_str() == text).ok_or(InvalidIdentitySource)
    }
}

/// A person as the provider knows them. What it was not asked, or does not know, is absent.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// Who vouches for it.
    pub source: IdentitySource,
    /// The given name.
    pub first_name: Option<String>,
    /// The family name.
    pub last_name: Option<String>,
    /// The date of birth, if it was among what was verified.
    pub birth_date: Option<BirthDate>,
    /// Whether the person is alive.
    pub alive: Option<bool>,
}

impl VerifiedIdentity {
    /// Both names, or the one that is known.
    #[must_use]
    pub fn full_name(&self) -> Option<String> {
        let names: Vec<_> = [&self.first_name, &self.last_name].into_iter().flatten().map(String::as_str).collect();
        (!names.is_empty()).then(|| names.join(" "))
    }
}

impl fmt::Debug for VerifiedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedIdentity").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_is_what_is_known_and_nothing_prints() {
        let named = |first: Option<&str>, last: Option<&str>| VerifiedIdentity {
            source: IdentitySource::Zibal,
            first_name: first.map(str::to_owned),
            last_name: last.map(str::to_owned),
            birth_date: None,
            alive: Some(true),
        };
        assert_eq!(named(Some("مریم"), Some("میرزاخانی")).full_name().as_deref(), Some("مریم میرزاخانی"));
        assert_eq!(named(None, Some("میرزاخانی")).full_name().as_deref(), Some("میرزاخانی"));
        assert_eq!(named(None, None).full_name(), None);
        assert_eq!(format!("{:?}", named(Some("مریم"), None)), "VerifiedIdentity { source: Zibal, .. }");
    }

    #[test]
    fn sources_survive_the_store() {
        for source in [IdentitySource::Zibal, IdentitySource::Http] {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
        assert_eq!("none".parse::<IdentitySource>(), Err(InvalidIdentitySource));
    }
}
