//! The number by which the Iranian state knows a person: ten digits, of which the last checks the others.

use std::fmt;

use super::digits::{digit, is_decoration};
use crate::secret::Secret;

/// Longer than any number with its decoration.
const MAX_INPUT: usize = 40;
const LENGTH: usize = 10;
/// Old systems kept the number as a number, and lost the zeros before it. More than two are never lost.
const SHORTEST: usize = 8;

/// Why a text is not a national id. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidNationalId {
    /// No digits.
    #[error("must not be empty")]
    Empty,
    /// More characters than any has with its decoration.
    #[error("must be at most 40 characters")]
    TooLong,
    /// A letter or another character that has no business here.
    #[error("may hold only digits, and spaces and dashes between them")]
    Character,
    /// Too few digits or too many.
    #[error("must be ten digits")]
    Length,
    /// The last digit does not follow from the others, or all of them are the same, which nobody is given.
    #[error("is not a number that was ever given out; check for a mistyped digit")]
    CheckDigit,
}

/// A national id whose check digit is right. Whether the person exists, only a provider can tell.
#[derive(Clone, PartialEq, Eq)]
pub struct NationalId(Secret<String>);

impl NationalId {
    /// Reads what a person typed, in digits of any keyboard. One spelling comes of all.
    pub fn parse(text: &str) -> Result<Self, InvalidNationalId> {
        if text.chars().nth(MAX_INPUT).is_some() {
            return Err(InvalidNationalId::TooLong);
        }
        let mut digits = String::with_capacity(MAX_INPUT);
        for character in text.chars() {
            match digit(character) {
                Some(digit) => digits.push(digit),
                None if is_decoration(character) => {}
                None => return Err(InvalidNationalId::Character),
            }
        }
        let digits = Secret::new(digits);
        match digits.expose().len() {
            0 => Err(InvalidNationalId::Empty),
            SHORTEST..=LENGTH => Some(Secret::new(format!("{:0>LENGTH$}", digits.expose())))
                .filter(|digits| checks(digits.expose().as_bytes()))
                .map(Self)
                .ok_or(InvalidNationalId::CheckDigit),
            _ => Err(InvalidNationalId::Length),
        }
    }

    /// The ten digits: for a provider and a keyed hash, never for a log and never for the store.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Weighs the first nine digits from ten down to two; what is left of the sum modulo eleven tells the tenth.
fn checks(digits: &[u8]) -> bool {
    let Some((last, first)) = digits.split_last() else { return false };
    let value = |digit: &u8| u32::from(digit - b'0');
    let sum: u32 = first.iter().zip((2..=10).rev()).map(|(digit, weight)| value(digit) * weight).sum();
    let rest = sum % 11;
    let expected = if rest < 2 { rest } else { 11 - rest };
    value(last) == expected && first.iter().any(|digit| digit != last)
}

impl fmt::Debug for NationalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NationalId([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_gives_the_ten_digits() {
        for text in ["0013542419", "۰۰۱۳۵۴۲۴۱۹", "٠٠١٣٥٤٢٤١٩", "001-354241-9", " 001 354 2419\u{200f}", "13542419"]
        {
            assert_eq!(NationalId::parse(text).unwrap().expose(), "0013542419", "{text}");
        }
        assert_eq!(NationalId::parse("499370899").unwrap().expose(), "0499370899");
        assert_eq!(NationalId::parse("2540201288").unwrap().expose(), "2540201288");
    }

    #[test]
    fn what_was_never_given_out_is_refused() {
        let refused = |text| NationalId::parse(text).unwrap_err();
        for text in ["1234567890", "0013542418", "0000000000", "00000000", "۱۱۱۱۱۱۱۱۱۱", "9999999999"] {
            assert_eq!(refused(text), InvalidNationalId::CheckDigit, "{text}");
        }
        for text in ["1", "1354241", "00013542419"] {
            assert_eq!(refused(text), InvalidNationalId::Length, "{text}");
        }
        for text in ["", " - "] {
            assert_eq!(refused(text), InvalidNationalId::Empty);
        }
        for text in ["001354241x", "0013542419\n", "+0013542419", "NULL"] {
            assert_eq!(refused(text), InvalidNationalId::Character, "{text}");
        }
        assert_eq!(refused(&" ".repeat(41)), InvalidNationalId::TooLong);
    }

    #[test]
    fn one_wrong_digit_and_two_exchanged_ones_are_always_noticed() {
        let right = b"0013542419";
        for at in 0..LENGTH {
            for digit in (b'0'..=b'9').filter(|digit| *digit != right[at]) {
                let mut wrong = *right;
                wrong[at] = digit;
                assert!(!checks(&wrong), "{at} {digit}");
            }
        }
        for at in (1..LENGTH).filter(|at| right[at - 1] != right[*at]) {
            let mut wrong = *right;
            wrong.swap(at - 1, at);
            assert!(!checks(&wrong), "{at}");
        }
    }

    #[test]
    fn it_does_not_print() {
        let id = NationalId::parse("0013542419").unwrap();
        assert_eq!(format!("{id:?} {:?}", Some(&id)), "NationalId([redacted]) Some(NationalId([redacted]))");
    }
}
