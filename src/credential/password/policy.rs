//! What a new password must be. Owns its form (RFC 8265 §4.2) and the reasons for which one is refused; there are no rules
//! about which characters it is made of.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroize;

use super::common::is_common;
use crate::secret::Secret;

/// How many characters a password has at most.
const MOST_CHARACTERS: usize = 256;
/// What a person is called, in parts shorter than this, is found in too many good passwords.
const LEAST_PART: usize = 3;
/// How much there must be besides what anybody knows of the person.
const LEAST_BESIDES: usize = 4;
/// How many digits at the end of a phone number are the same however it is written.
const NATIONAL_DIGITS: usize = 10;

/// A password that may be set: in its normal form, and not among those that are refused.
#[derive(Clone, Debug)]
pub struct NewPassword(pub(super) Secret<String>);

/// Why a password may not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It has too few characters.
    #[error("the password is shorter than {least} characters")]
    TooShort {
        /// How many it must have.
        least: usize,
    },
    /// It has too many.
    #[error("the password is longer than {most} characters")]
    TooLong {
        /// How many it may have.
        most: usize,
    },
    /// It is among the passwords that are tried first.
    #[error("the password is among the most common ones")]
    Common,
    /// It is little more than what anybody knows of the person or the service.
    #[error("the password is made of the name or the identifier of its owner, or of the service")]
    Personal,
    /// It holds characters that cannot be typed reliably.
    #[error("the password holds control characters")]
    ControlCharacter,
}

/// The form in which a password is hashed: NFC, with every kind of space as U+0020 (RFC 8265 §4.2.2), so that it is the
/// same from every keyboard.
pub(super) fn normal(text: &str) -> Secret<String> {
    // NFC makes a text three times as long at most (UAX #15 §9): what is reserved here is never moved, so no copy is left.
    let mut normal = String::with_capacity(text.len() * 3);
    normal.extend(text.chars().map(|each| if is_other_space(each) { ' ' } else { each }).nfc());
    Secret::new(normal)
}

/// The characters of the category Zs besides U+0020.
const fn is_other_space(character: char) -> bool {
    matches!(character, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Judges a text that somebody wants as a password. `words` are what others know: their identifiers and names, the
/// service's name.
pub(super) fn check(text: &str, least: usize, words: &[&str]) -> Result<NewPassword, Unfit> {
    // NFC puts at most four characters into one, so that what is longer than this stays too long.
    if text.chars().nth(MOST_CHARACTERS * 4).is_some() {
        return Err(Unfit::TooLong { most: MOST_CHARACTERS });
    }
    let password = normal(text);
    let characters = password.expose().chars().count();
    if password.expose().chars().any(char::is_control) {
        return Err(Unfit::ControlCharacter);
    }
    if characters < least {
        return Err(Unfit::TooShort { least });
    }
    if characters > MOST_CHARACTERS {
        return Err(Unfit::TooLong { most: MOST_CHARACTERS });
    }
    if is_common(password.expose()) {
        return Err(Unfit::Common);
    }
    if is_personal(password.expose(), words) {
        return Err(Unfit::Personal);
    }
    Ok(NewPassword(password))
}

/// Whether a password is nothing but these words or parts of them, and a few characters besides.
fn is_personal(password: &str, words: &[&str]) -> bool {
    let mut rest = password.to_lowercase();
    let mut parts: Vec<_> = words.iter().flat_map(|word| parts(word)).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.len()));
    let mut found = false;
    for part in &parts {
        if rest.contains(part.as_str()) {
            found = true;
            let mut shorter = rest.replace(part.as_str(), "");
            std::mem::swap(&mut rest, &mut shorter);
            shorter.zeroize();
        }
    }
    let besides = rest.chars().filter(|each| !each.is_whitespace()).count();
    rest.zeroize();
    found && besides < LEAST_BESIDES
}

/// A word as a whole, what stands between its punctuation, and a phone number as it is dialled at home.
fn parts(word: &str) -> Vec<String> {
    let normal: String = word.nfc().flat_map(char::to_lowercase).collect();
    let digits: String = normal.chars().filter(char::is_ascii_digit).collect();
    let mut parts: Vec<_> = normal.split(|each: char| !each.is_alphanumeric()).map(ToOwned::to_owned).collect();
    if let Some(at) = digits.len().checked_sub(NATIONAL_DIGITS) {
        parts.push(digits[at..].to_owned());
        parts.push(digits);
    }
    parts.push(normal);
    parts.retain(|part| part.chars().count() >= LEAST_PART);
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(text: &str) -> Result<String, Unfit> {
        check(text, 8, &[]).map(|password| password.0.expose().clone())
    }

    /// Threat O14.
    #[test]
    fn each_of_the_ten_thousand_most_common_passwords_is_refused() {
        let common: Vec<_> = include_str!("tests/top_10000.txt").lines().collect();
        assert_eq!(common.len(), 10_000);
        for password in common {
            let refused = [judged(password), judged(&password.to_uppercase())];
            assert!(refused.iter().all(Result::is_err), "{password}");
        }
        assert_eq!(judged("Password1"), Err(Unfit::Common));
        assert_eq!(judged("1234567"), Err(Unfit::TooShort { least: 8 }));
    }

    #[test]
    fn nothing_is_demanded_of_the_characters() {
        for good in ["zzyyxxwwv", "83620 17495", "correct horse battery staple", "گذرواژهٔ خوب", "🦀🦀🦀🦀🦀🦀🦀🧀"]
        {
            assert!(judged(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(judged(&"پ".repeat(8)).is_ok());
        assert_eq!(judged(&"پ".repeat(7)), Err(Unfit::TooShort { least: 8 }));
        assert!(judged(&"𝔘".repeat(256)).is_ok());
        assert_eq!(judged(&"𝔘".repeat(257)), Err(Unfit::TooLong { most: 256 }));
        assert_eq!(judged(&"a".repeat(100_000)), Err(Unfit::TooLong { most: 256 }));
        // 256 characters however they are written: α with three marks each is one in NFC.
        let spelt = "\u{3b1}\u{314}\u{342}\u{345}".repeat(256);
        assert_eq!(judged(&spelt).unwrap(), "\u{1f87}".repeat(256));
    }

    #[test]
    fn spaces_and_marks_have_one_form_and_control_characters_none() {
        assert_eq!(judged("cafe\u{301}\u{a0}cre\u{300}me").unwrap(), "caf\u{e9} cr\u{e8}me");
        // A joiner that does not show is part of Persian words.
        assert_eq!(judged("می\u{200c}خواهم").unwrap(), "می\u{200c}خواهم");
        for bad in ["tab\tulator", "line\nline", "nothing\0", "del\u{7f}eted it", "next\u{85}line"] {
            assert_eq!(judged(bad), Err(Unfit::ControlCharacter), "{bad:?}");
        }
    }

    #[test]
    fn what_anybody_knows_of_a_person_is_no_password() {
        let words = ["Sara.Rezaei@example.org", "+989121234567", "Sara", "Rezaei", "Countersign"];
        let refused = |password: &str| check(password, 8, &words).err() == Some(Unfit::Personal);
        for bad in [
            "sara.rezaei@example.org",
            "SaraRezaei",
            "rezaei!1",
            "sara rezaei 12",
            "09121234567",
            "+989121234567",
            "9121234567",
            "Countersign1",
            "countersigncountersign",
        ] {
            assert!(refused(bad), "{bad}");
        }
        for good in ["sara likes green tea", "rezaei-7f3q", "912 green 4567"] {
            assert!(!refused(good), "{good}");
        }
        assert!(check("al bo zu qi", 8, &["al", "bo", ""]).is_ok());
    }

    proptest! {
        #[test]
        fn the_normal_form_is_final(text in any::<String>()) {
            let once = normal(&text);
            prop_assert_eq!(normal(once.expose()), once);
        }

        #[test]
        fn nothing_is_cut_off(text in "\\PC{128}") {
            let password = normal(&text);
            let shorter: String = text.chars().take(127).collect();
            let shorter = normal(&shorter);
            prop_assert_ne!(password.expose(), shorter.expose());
        }
    }
}
