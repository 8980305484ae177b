//! What a call is named by: in the log, in the audit trail, and to whoever made it.

use std::fmt;
use std::sync::Arc;

use crate::random::Random;

/// The name of a call: the caller's own, where it is fit to be written down, or one that was made for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallId(Arc<str>);

impl CallId {
    /// No name is longer than this many bytes.
    pub const LONGEST: usize = 64;

    /// The name that a caller chose, if it is one: letters, digits, `-` and `_`, and not digits alone. Whatever else comes in
    /// its place, such as a phone number, a code, a token or a line of a log, is not written down.
    #[must_use]
    pub fn chosen(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_name = (1..=Self::LONGEST).contains(&text.len())
            && text.bytes().all(is_plain)
            && text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !SECRETS.iter().any(|beginning| text.starts_with(beginning));
        is_name.then(|| Self(text.into()))
    }

    /// A new name.
    #[must_use]
    pub fn made(random: Random) -> Self {
        Self(uuid::Builder::from_random_bytes(random.bytes()).into_uuid().to_string().into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What secrets of ours begin with.
const SECRETS: [&str; 4] = ["csk_", "csr_", "csf_", "eyJ"];

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_names() {
        for good in ["req-1", "a", "0195f0c2-0000-7000-8000-000000000001", "Upper_case-7", &"x".repeat(64)] {
            assert_eq!(CallId::chosen(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "09121234567",
            "+989121234567",
            "123456",
            "a b",
            "a\nb",
            "a.b",
            "p@ssword",
            "csk_abcdefgh",
            "eyJhbGciOiJFZERTQSJ9",
            &"x".repeat(65),
        ] {
            assert_eq!(CallId::chosen(bad), None, "{bad}");
        }
    }

    #[test]
    fn made_names_are_names_and_differ() {
        let (one, two) = (CallId::made(Random), CallId::made(Random));
        assert_ne!(one, two);
        assert_eq!(CallId::chosen(one.as_str()), Some(one));
    }
}
