//! The passwords that everybody tries first. Owns the list of them and the look into it.

use std::cmp::Ordering;

use zeroize::Zeroizing;

/// Common passwords of eight characters and more, in lower case and NFC, one to a line, sorted by their bytes.
///
/// The list is the union of two that were made from leaked passwords: the 20,000 of Royce Williams that Django 5.2 ships
/// (`django/contrib/auth/common-passwords.txt.gz`) and the 30,000 that zxcvbn 4.5 ships (`zxcvbn/frequency_lists.py`).
/// Shorter ones are refused for their length.
const COMMON: &str = include_str!("common.txt");

/// Whether a password is among the common ones, however it is capitalised.
pub(super) fn is_common(password: &str) -> bool {
    let wanted = Zeroizing::new(password.to_lowercase());
    let (mut low, mut high) = (0, COMMON.len());
    // `low` and `high` are always where a line begins.
    while low < high {
        let middle = low + (high - low) / 2;
        let start =
            COMMON.as_bytes()[low..middle].iter().rposition(|byte| *byte == b'\n').map_or(low, |at| low + at + 1);
        let Some(line) = COMMON.get(start..high).and_then(|rest| rest.lines().next()) else { return false };
        match line.as_bytes().cmp(wanted.as_bytes()) {
            Ordering::Equal => return true,
            Ordering::Less => low = start + line.len() + 1,
            Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_each_of_it_is_found() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.len() > 16_000);
        assert!(COMMON.ends_with('\n'));
        assert!(lines.is_sorted_by(|one, next| one < next));
        for line in lines {
            assert!(is_common(line), "{line}");
            assert_eq!(line, line.to_lowercase());
            assert!(line.chars().count() >= 8, "{line}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(is_common("PassWord"));
        for other in ["", "\n", "!", "\u{10ffff}", "password\n", "password\npassword1", "correct horse battery"] {
            assert!(!is_common(other), "{other:?}");
        }
    }
}
