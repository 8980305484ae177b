//! A country or territory, as far as telephone numbers need one: whose national form a number without a plus is in.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::numbering::{Plan, plans};

/// A text that names no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the two-letter code of a country that has a calling code, such as IR")]
pub struct InvalidRegion;

/// A region by its ISO 3166 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Region {
    name: &'static str,
    plan: &'static Plan,
}

impl Region {
    /// The code, in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.name
    }

    /// What is dialled from abroad, without a plus: `98`.
    #[must_use]
    pub fn calling_code(self) -> &'static str {
        self.plan.code
    }

    pub(super) fn plan(self) -> &'static Plan {
        self.plan
    }
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        plans()
            .flat_map(|plan| plan.regions.split_ascii_whitespace().map(move |name| Self { name, plan }))
            .find(|region| region.name.eq_ignore_ascii_case(text))
            .ok_or(InvalidRegion)
    }
}

impl TryFrom<String> for Region {
    type Error = InvalidRegion;

    fn try_from(text: String) -> Result<Self, InvalidRegion> {
        text.parse()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_region_is_listed_once_and_reads_as_itself() {
        let mut seen = HashSet::new();
        for name in plans().flat_map(|plan| plan.regions.split(' ')).filter(|name| !name.is_empty()) {
            assert!(name.len() == 2 && name.bytes().all(|letter| letter.is_ascii_uppercase()), "{name}");
            assert!(seen.insert(name), "{name} is listed twice");
            assert_eq!(name.parse::<Region>().unwrap().as_str(), name);
        }
        assert!(seen.len() > 200, "{}", seen.len());
    }

    #[test]
    fn a_region_knows_its_calling_code() {
        for (text, code) in [("IR", "98"), ("ir", "98"), ("CA", "1"), ("KZ", "7"), ("VA", "39"), ("GB", "44")] {
            assert_eq!(text.parse::<Region>().unwrap().calling_code(), code, "{text}");
        }
        for bad in ["", " ", "I", "IRN", "ZZ", "98", "UK", "RU KZ", "آی"] {
            assert_eq!(bad.parse::<Region>(), Err(InvalidRegion), "{bad}");
        }
    }

    #[test]
    fn a_configuration_names_it_as_text() {
        assert_eq!(serde_json::from_str::<Region>("\"IR\"").unwrap().as_str(), "IR");
        assert!(serde_json::from_str::<Region>("\"Iran\"").is_err());
    }
}
