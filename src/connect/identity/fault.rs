//! What may go wrong between a provider and us, sorted by who has to act. Holds fixed texts and numbers only: nothing that a
//! provider wrote, because it may repeat what it was asked.

use std::fmt;

use super::Input;
use crate::connect::exchange::Lost;

/// Why a provider told nothing.
pub(super) enum Fault {
    /// It works, and will not take this.
    Refused(Input),
    /// It does not work.
    Trouble(Trouble),
}

/// What does not work. The number, where there is one, is the provider's own: a status or a result code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    what: &'static str,
    code: Option<i64>,
    kind: Kind,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It goes away by itself: leave the provider alone for a while.
    Passing,
    /// It stays until the operator acts.
    Lasting,
    /// The provider works, and says something about this one question that nobody here has heard of. It must not count as a
    /// failure: whoever finds out how to provoke it could keep everybody else from being verified.
    Odd,
}

impl Trouble {
    pub(super) const NOT_UNDERSTOOD: Self = Self::passing("gave an answer that is not understood", None);

    pub(super) const NOT_SIGNED: Self = Self::lasting("cannot be sent anything signed: check the secret", None);

    /// Something that goes away by itself.
    pub(super) const fn passing(what: &'static str, code: Option<i64>) -> Self {
        Self { what, code, kind: Kind::Passing }
    }

    /// Something that stays until the operator acts.
    pub(super) const fn lasting(what: &'static str, code: Option<i64>) -> Self {
        Self { what, code, kind: Kind::Lasting }
    }

    /// Something that only its code tells, if anything does.
    pub(super) const fn odd(what: &'static str, code: i64) -> Self {
        Self { what, code: Some(code), kind: Kind::Odd }
    }

    /// What a status means by itself, where the body says nothing.
    pub(super) fn of_status(status: u16) -> Self {
        let code = Some(i64::from(status));
        match status {
            300..=399 => Self::lasting("answers with a redirect, which is not followed: check its URL", code),
            401 | 403 | 407 => Self::lasting("does not accept this service: check its credentials", code),
            404 | 405 | 410 => Self::lasting("is not there: check its URL", code),
            429 => Self::passing("is asked too often", code),
            500..=599 => Self::passing("failed", code),
            _ => Self { code, ..Self::NOT_UNDERSTOOD },
        }
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider {}", self.what)?;
        self.code.map_or(Ok(()), |code| write!(f, " ({code})"))
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Lost> for Fault {
    fn from(lost: Lost) -> Self {
        Self::Trouble(Trouble::passing(lost.what(), None))
    }
}

impl From<serde_json::Error> for Fault {
    fn from(_: serde_json::Error) -> Self {
        // Its text may quote what was read.
        Self::Trouble(Trouble::NOT_UNDERSTOOD)
    }
}

/// A name as a provider wrote it, fit to be stored and shown: no control characters, no marks that turn the direction of
/// what follows, and of a length that a name has.
pub(super) fn name(text: Option<&str>) -> Option<String> {
    const LONGEST: usize = 100;
    let turns = |character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let invisible = |character: char| character.is_control() && !character.is_whitespace();
    let plain: String = text?.chars().filter(|character| !invisible(*character) && !turns(*character)).collect();
    let spaced = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = spaced.chars().take(LONGEST).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_to_be_kept() {
        assert_eq!(name(Some(" امير\u{200c}رضا \t صادقی\n")).as_deref(), Some("امير\u{200c}رضا صادقی"));
        assert_eq!(name(Some("a\0b\u{202e}c")).as_deref(), Some("abc"));
        assert_eq!(name(Some(&"x".repeat(1_000))).map(|name| name.len()), Some(100));
        for empty in [None, Some(""), Some(" \0 ")] {
            assert_eq!(name(empty), None);
        }
    }

    #[test]
    fn a_status_tells_who_has_to_act() {
        for status in [302, 401, 403, 404] {
            assert_eq!(Trouble::of_status(status).kind(), Kind::Lasting, "{status}");
        }
        for status in [418, 429, 500, 503] {
            assert_eq!(Trouble::of_status(status).kind(), Kind::Passing, "{status}");
        }
        assert_eq!(Trouble::of_status(503).to_string(), "the provider failed (503)");
    }
}
