//! The languages that messages are written in.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text names no language that messages are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a language tag that begins with `en` or `fa`")]
pub struct InvalidLocale;

/// A language that messages are written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    /// English.
    #[default]
    En,
    /// Persian, written from right to left.
    Fa,
}

impl Locale {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::En, Self::Fa];

    /// Its language subtag (RFC 5646).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fa => "fa",
        }
    }
}

impl FromStr for Locale {
    type Err = InvalidLocale;

    /// Reads a language tag. What follows the language, such as a region, is not asked about; POSIX's `fa_IR` is read too.
    fn from_str(text: &str) -> Result<Self, InvalidLocale> {
        let language = text.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|locale| language.eq_ignore_ascii_case(locale.as_str())).ok_or(InvalidLocale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_by_its_language() {
        for (tag, locale) in [
            ("fa", Locale::Fa),
            ("fa-IR", Locale::Fa),
            ("FA_IR", Locale::Fa),
            (" fa-Arab-IR ", Locale::Fa),
            ("en", Locale::En),
            ("en-US", Locale::En),
        ] {
            assert_eq!(tag.parse(), Ok(locale), "{tag}");
        }
        for tag in ["", "-", "de", "fas", "english", "-fa", "*"] {
            assert_eq!(tag.parse::<Locale>(), Err(InvalidLocale), "{tag}");
        }
    }
}
