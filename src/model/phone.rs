//! A telephone number in its one spelling, E.164, out of the many that people type.
//!
//! A limit counted by number is worth nothing if a number has two spellings, and a code sent to the wrong reading of one
//! reaches a stranger. So every way of writing a number that is understood gives the same text, and a text that can be
//! read as two numbers is refused.

use std::fmt;
use std::str::FromStr;

use super::digits::{digit, is_decoration, is_plus};
use super::numbering::Plan;
use super::{Region, country};

/// Longer than any number with its decoration.
const MAX_INPUT: usize = 40;

/// Why a text is not a telephone number. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPhone {
    /// No digits.
    #[error("must not be empty")]
    Empty,
    /// More characters than any number has with its decoration.
    #[error("must be at most 40 characters")]
    TooLong,
    /// A letter, a control character, an extension, a plus that is not first.
    #[error("may hold only digits, spaces, dashes, dots, slashes, parentheses and a plus at the start")]
    Character,
    /// The digits after the plus begin with no country's code.
    #[error("must begin with an assigned calling code after the plus")]
    CallingCode,
    /// No number of that country looks so.
    #[error("must be a complete number of its country, with neither missing nor extra digits")]
    Length,
    /// Two numbers are written like this.
    #[error("can be read as two different numbers; write it with a plus and the calling code")]
    Ambiguous,
}

/// A telephone number: `+`, calling code, national number.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone {
    e164: String,
    /// The end of the calling code in it.
    code_end: usize,
}

impl Phone {
    /// Reads what a person typed. Without a plus or an international prefix it is a number of `default_region`.
    pub fn parse(text: &str, default_region: Region) -> Result<Self, InvalidPhone> {
        let (plus, digits) = read(text)?;
        if plus {
            return Self::international(&digits);
        }
        let plan = default_region.plan();
        let abroad: Vec<&str> = plan.exits().chain(["00"]).filter_map(|exit| digits.strip_prefix(exit)).collect();
        if !abroad.is_empty() {
            return only(abroad.into_iter().map(Self::international));
        }
        let forgotten_plus = digits.strip_prefix(plan.code);
        let readings = [Some(digits.as_str()), forgotten_plus].into_iter().flatten();
        only(readings.map(|written| Self::national(plan, written)))
    }

    /// From the digits after a plus.
    fn international(digits: &str) -> Result<Self, InvalidPhone> {
        let plan = Plan::of(digits).ok_or(InvalidPhone::CallingCode)?;
        Self::national(plan, &digits[plan.code.len()..])
    }

    fn national(plan: &Plan, written: &str) -> Result<Self, InvalidPhone> {
        let national = plan.national(written).ok_or(InvalidPhone::Length)?;
        Ok(Self { e164: format!("+{}{national}", plan.code), code_end: 1 + plan.code.len() })
    }

    /// The whole number, `+989121234567`: for the message, the store and a keyed hash, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.e164
    }

    /// The calling code without the plus: `98`.
    #[must_use]
    pub fn calling_code(&self) -> &str {
        &self.e164[1..self.code_end]
    }

    /// Calling code and the first three digits after it, `98912`: what numbers bought in a row have in common.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.e164[1..self.code_end + 3]
    }

    /// Whether it is a number of this region. Where several share a calling code and its digits do not tell which it is in,
    /// it may be in each of them.
    #[must_use]
    pub fn may_be_in(&self, region: Region) -> bool {
        let only = country::of(self.calling_code(), &self.e164[self.code_end..]);
        self.calling_code() == region.calling_code() && only.is_none_or(|only| only == region.as_str())
    }

    /// What may be shown: `+98*******67`. As many stars for any length.
    #[must_use]
    pub fn masked(&self) -> String {
        format!("+{}*******{}", self.calling_code(), &self.e164[self.e164.len() - 2..])
    }
}

/// Reads the stored form back, and nothing else.
///
/// Lengths within a country are not asked for: a number that was stored stays readable when its country's plan changes.
impl FromStr for Phone {
    type Err = InvalidPhone;

    fn from_str(text: &str) -> Result<Self, InvalidPhone> {
        let digits = text.strip_prefix('+').ok_or(InvalidPhone::CallingCode)?;
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(InvalidPhone::Character);
        }
        if !(8..=15).contains(&digits.len()) {
            return Err(InvalidPhone::Length);
        }
        let plan = Plan::of(digits).ok_or(InvalidPhone::CallingCode)?;
        Ok(Self { e164: text.to_owned(), code_end: 1 + plan.code.len() })
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

/// The one number among the readings; why not, by the first of them, if there is none.
fn only(readings: impl Iterator<Item = Result<Phone, InvalidPhone>>) -> Result<Phone, InvalidPhone> {
    let mut found: Option<Phone> = None;
    let mut why = None;
    for reading in readings {
        match (reading, &found) {
            (Ok(phone), None) => found = Some(phone),
            (Ok(phone), Some(other)) if phone != *other => return Err(InvalidPhone::Ambiguous),
            (Ok(_), Some(_)) => {}
            (Err(error), _) => why = why.or(Some(error)),
        }
    }
    found.ok_or(why.unwrap_or(InvalidPhone::Empty))
}

/// Whether there is a leading plus, and the digits in ASCII.
fn read(text: &str) -> Result<(bool, String), InvalidPhone> {
    if text.chars().nth(MAX_INPUT).is_some() {
        return Err(InvalidPhone::TooLong);
    }
    let mut plus = false;
    let mut digits = String::with_capacity(text.len());
    for character in text.chars() {
        if let Some(digit) = digit(character) {
            digits.push(digit);
        } else if is_plus(character) && !plus && digits.is_empty() {
            plus = true;
        } else if !is_decoration(character) {
            return Err(InvalidPhone::Character);
        }
    }
    if digits.is_empty() { Err(InvalidPhone::Empty) } else { Ok((plus, digits)) }
}

#[cfg(test)]
mod tests;
