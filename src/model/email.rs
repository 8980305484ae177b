//! An email address that was checked. Whether anybody reads it is for a code to find out.

use std::fmt;

/// Why a text is not an address we write to. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// Nothing but spaces.
    #[error("must not be empty")]
    Empty,
    /// Longer than a mail server takes (RFC 5321 §4.5.3.1.3).
    #[error("must be at most 254 characters")]
    TooLong,
    /// A line break or another control character, which could start a header of its own.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// Letters outside ASCII.
    #[error("must be ASCII; write an international domain in its xn-- form")]
    NotAscii,
    /// No `@`, or more than one.
    #[error("must have the form name@domain")]
    Form,
    /// The part before the `@`.
    #[error("must have 1 to 64 letters, digits or !#$%&'*+-/=?^_`{{|}}~ before the @, with single dots between them")]
    LocalPart,
    /// The part after the `@`.
    #[error("must have a domain name after the @, such as example.com")]
    Domain,
}

/// An email address in lower case.
///
/// RFC 5321 lets a server tell `A@` from `a@`; none that people use does, and two accounts that differ by a capital are a
/// way to take one for the other.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks what a person typed, or what was stored.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        // Before trimming: a line break at the end is no slip of the keyboard.
        if text.chars().any(char::is_control) {
            return Err(InvalidEmail::ControlCharacter);
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        if !text.is_ascii() {
            return Err(InvalidEmail::NotAscii);
        }
        if text.len() > 254 {
            return Err(InvalidEmail::TooLong);
        }
        let (local, domain) = text.split_once('@').ok_or(InvalidEmail::Form)?;
        if domain.contains('@') {
            return Err(InvalidEmail::Form);
        }
        if !is_local_part(local) {
            return Err(InvalidEmail::LocalPart);
        }
        if !is_domain(domain) {
            return Err(InvalidEmail::Domain);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The whole address: for the message, the store and a keyed hash, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What may be shown: `a***@example.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        let (local, domain) = self.0.split_once('@').unwrap_or_default();
        format!("{}***@{domain}", &local[..1])
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// A `Dot-string` (RFC 5321 §4.1.2): quoted forms exist in the standard and in attacks, hardly in address books.
fn is_local_part(text: &str) -> bool {
    let atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c))
    };
    text.len() <= 64 && text.split('.').all(atom)
}

/// Letters, digits and hyphens in at least two labels (RFC 1035 §2.3.1), the last of them not a number: no IP addresses.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let named = |(_, last): (&str, &str)| last.bytes().any(|c| !c.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && text.rsplit_once('.').is_some_and(named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lower_case() {
        for (text, address) in [
            ("ali@example.com", "ali@example.com"),
            ("  Ali.Reza+News@Example.COM ", "ali.reza+news@example.com"),
            ("o'neil@mail.example.co.uk", "o'neil@mail.example.co.uk"),
            ("a@xn--mgba3a4f16a.ir", "a@xn--mgba3a4f16a.ir"),
            ("1@1.io", "1@1.io"),
            ("\u{a0}a@b.c\u{3000}", "a@b.c"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), address, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let long = |count: usize, rest: &str| format!("{}{rest}", "a".repeat(count));
        for (text, why) in [
            ("", InvalidEmail::Empty),
            ("   ", InvalidEmail::Empty),
            ("ali", InvalidEmail::Form),
            ("a@b@c.d", InvalidEmail::Form),
            ("@example.com", InvalidEmail::LocalPart),
            (".a@example.com", InvalidEmail::LocalPart),
            ("a.@example.com", InvalidEmail::LocalPart),
            ("a..b@example.com", InvalidEmail::LocalPart),
            ("a b@example.com", InvalidEmail::LocalPart),
            ("\"a\"@example.com", InvalidEmail::LocalPart),
            ("Ali <ali@example.com>", InvalidEmail::LocalPart),
            ("a,b@example.com", InvalidEmail::LocalPart),
            (&long(65, "@example.com"), InvalidEmail::LocalPart),
            ("a@", InvalidEmail::Domain),
            ("a@localhost", InvalidEmail::Domain),
            ("a@example.com.", InvalidEmail::Domain),
            ("a@.com", InvalidEmail::Domain),
            ("a@a..com", InvalidEmail::Domain),
            ("a@-a.com", InvalidEmail::Domain),
            ("a@a-.com", InvalidEmail::Domain),
            ("a@a_b.com", InvalidEmail::Domain),
            ("a@192.0.2.1", InvalidEmail::Domain),
            ("a@[192.0.2.1]", InvalidEmail::Domain),
            ("a@b.c, d", InvalidEmail::Domain),
            (&format!("a@{}", long(64, ".com")), InvalidEmail::Domain),
            (&format!("a@{}com", "abc.".repeat(63)), InvalidEmail::TooLong),
            ("a@example.com\r\nBcc: b@example.com", InvalidEmail::ControlCharacter),
            ("a@example.com\n", InvalidEmail::ControlCharacter),
            ("a\0@example.com", InvalidEmail::ControlCharacter),
            ("a@example.com\u{85}", InvalidEmail::ControlCharacter),
            ("علی@example.com", InvalidEmail::NotAscii),
            ("a@مثال.ir", InvalidEmail::NotAscii),
            ("a۱@example.com", InvalidEmail::NotAscii),
            ("a@example.com\u{2028}b", InvalidEmail::NotAscii),
        ] {
            assert_eq!(EmailAddress::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn the_longest_address_is_accepted() {
        let label = "a".repeat(63);
        let longest = format!("a@{label}.{label}.{label}.{}", "a".repeat(60));
        assert_eq!(longest.len(), 254);
        assert!(EmailAddress::parse(&longest).is_ok());
    }

    #[test]
    fn a_log_shows_the_masked_form() {
        let address = EmailAddress::parse("ali@example.com").unwrap();
        assert_eq!(address.masked(), "a***@example.com");
        assert_eq!(format!("{address:?}"), "a***@example.com");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _ = EmailAddress::parse(&text);
        }

        #[test]
        fn an_address_reads_as_itself(text in "[a-zA-Z0-9+._-]{1,8}@[a-zA-Z0-9.-]{1,12}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                prop_assert_eq!(EmailAddress::parse(address.as_str()), Ok(address));
            }
        }
    }
}
