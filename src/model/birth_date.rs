//! The day on which somebody was born, in the two calendars in which Iran writes it.
//!
//! The Jalali (Solar Hijri) year begins with the northern spring. Which years have a 366th day follows from the sky; a cycle
//! of 33 years with eight of them gives the same answer from 1178 to 1633 (1799 to 2255), and that is all that is needed for
//! people alive.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};

use super::digits::digit;

/// A year among these is a Jalali one.
const JALALI_YEARS: RangeInclusive<i32> = 1200..=1500;
/// A year among these is a Gregorian one.
const GREGORIAN_YEARS: RangeInclusive<i32> = 1800..=2200;

/// Why a text is not a date of birth. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBirthDate {
    /// Not year, month and day.
    #[error("must be year, month and day, as in 1370/01/31 or 1991-04-20")]
    Form,
    /// A year of neither calendar.
    #[error("must have a year from 1200 to 1500 (Jalali) or from 1800 to 2200 (Gregorian)")]
    Year,
    /// The calendar has no such day.
    #[error("must be a day that its calendar has")]
    Day,
}

/// A day, whichever calendar it was written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirthDate(NaiveDate);

/// A day of the Jalali calendar.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Jalali {
    year: i32,
    month: u32,
    day: u32,
}

impl BirthDate {
    /// A day of the Gregorian calendar, in the years from 1800 to 2200.
    pub fn from_gregorian(year: i32, month: u32, day: u32) -> Result<Self, InvalidBirthDate> {
        if !GREGORIAN_YEARS.contains(&year) {
            return Err(InvalidBirthDate::Year);
        }
        NaiveDate::from_ymd_opt(year, month, day).map(Self).ok_or(InvalidBirthDate::Day)
    }

    /// A day of the Jalali calendar, in the years from 1200 to 1500.
    pub fn from_jalali(year: i32, month: u32, day: u32) -> Result<Self, InvalidBirthDate> {
        if !JALALI_YEARS.contains(&year) {
            return Err(InvalidBirthDate::Year);
        }
        let jalali = Jalali { year, month, day };
        if !(1..=12).contains(&month) || !(1..=jalali.days_in_month()).contains(&day) {
            return Err(InvalidBirthDate::Day);
        }
        NaiveDate::from_num_days_from_ce_opt(jalali.days_from_ce()).map(Self).ok_or(InvalidBirthDate::Day)
    }

    /// The Gregorian date.
    #[must_use]
    pub const fn gregorian(self) -> NaiveDate {
        self.0
    }

    /// As ISO 8601 has it, `1991-03-21`: for the store and for messages. Parsing it gives the same day.
    #[must_use]
    pub fn iso(self) -> String {
        self.0.format("%Y-%m-%d").to_string()
    }

    /// As Iran writes it, `1370/01/01`.
    #[must_use]
    pub fn jalali(self) -> String {
        let Jalali { year, month, day } = Jalali::from_days(self.0.num_days_from_ce());
        format!("{year}/{month:02}/{day:02}")
    }

    /// Whether the day has yet to begin everywhere. Clocks are up to fourteen hours ahead of universal time.
    #[must_use]
    pub fn is_in_future(self, now: DateTime<Utc>) -> bool {
        self.0 > (now + TimeDelta::hours(14)).date_naive()
    }
}

/// Reads `YYYY-MM-DD` and `YYYY/MM/DD` in digits of any keyboard; the year tells the calendar.
impl FromStr for BirthDate {
    type Err = InvalidBirthDate;

    fn from_str(text: &str) -> Result<Self, InvalidBirthDate> {
        let text = text.trim();
        let separator = if text.contains('/') { '/' } else { '-' };
        let mut parts = text.split(separator);
        let mut number = |longest| number(parts.next()?, longest);
        let (year, month, day) = (number(4), number(2), number(2));
        let (Some(year), Some(month), Some(day), None) = (year, month, day, parts.next()) else {
            return Err(InvalidBirthDate::Form);
        };
        let year = i32::try_from(year).map_err(|_| InvalidBirthDate::Year)?;
        if JALALI_YEARS.contains(&year) {
            Self::from_jalali(year, month, day)
        } else {
            Self::from_gregorian(year, month, day)
        }
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate([redacted])")
    }
}

/// One to `longest` digits.
fn number(text: &str, longest: usize) -> Option<u32> {
    if text.is_empty() || text.chars().nth(longest).is_some() {
        return None;
    }
    text.chars().map(digit).collect::<Option<String>>()?.parse().ok()
}

impl Jalali {
    /// Where this count begins: the days from 1 January 1 to 1 Farvardin 1400, which was 21 March 2021.
    const ANCHOR: i32 = 737_870 - Self::first_day(1400);
    const CYCLE: i32 = 33;
    const DAYS_IN_CYCLE: i32 = 33 * 365 + 8;

    /// The days before the first of a year, counted from the calendar's own beginning.
    const fn first_day(year: i32) -> i32 {
        // The quotient is how many of the years before were long ones.
        365 * (year - 1) + (8 * year + 21) / Self::CYCLE
    }

    const fn is_long(year: i32) -> bool {
        Self::first_day(year + 1) - Self::first_day(year) == 366
    }

    const fn days_in_month(self) -> u32 {
        match self.month {
            1..=6 => 31,
            12 if !Self::is_long(self.year) => 29,
            _ => 30,
        }
    }

    fn days_from_ce(self) -> i32 {
        let month = self.month - 1;
        let day_of_year = 30 * month + month.min(6) + self.day - 1;
        Self::ANCHOR + Self::first_day(self.year) + day_of_year.cast_signed()
    }

    fn from_days(days_from_ce: i32) -> Self {
        let days = days_from_ce - Self::ANCHOR;
        // The cycle's average year gives the year or one of its neighbours.
        let near = days * Self::CYCLE / Self::DAYS_IN_CYCLE;
        let year = (near..=near + 2).rev().find(|year| Self::first_day(*year) <= days).unwrap_or(near);
        let day_of_year = (days - Self::first_day(year)).unsigned_abs();
        let (month, day) = if day_of_year < 6 * 31 {
            (day_of_year / 31, day_of_year % 31)
        } else {
            ((day_of_year - 6) / 30, (day_of_year - 6) % 30)
        };
        Self { year, month: month + 1, day: day + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BirthDate, InvalidBirthDate> {
        text.parse()
    }

    #[test]
    fn days_that_are_known_in_both_calendars() {
        for (jalali, gregorian) in [
            ("1178/10/11", "1800-01-01"),
            ("1200/01/01", "1821-03-21"),
            ("1278/10/11", "1900-01-01"),
            ("1304/01/11", "1925-03-31"),
            ("1309/01/01", "1930-03-21"),
            ("1348/10/11", "1970-01-01"),
            ("1354/12/30", "1976-03-20"),
            ("1357/11/22", "1979-02-11"),
            ("1367/01/01", "1988-03-21"),
            ("1370/01/01", "1991-03-21"),
            ("1375/12/30", "1997-03-20"),
            ("1378/10/11", "2000-01-01"),
            ("1379/12/30", "2001-03-20"),
            ("1399/12/30", "2021-03-20"),
            ("1400/01/01", "2021-03-21"),
            ("1403/12/30", "2025-03-20"),
            ("1404/01/01", "2025-03-21"),
            ("1408/12/30", "2030-03-20"),
        ] {
            let day = parse(gregorian).unwrap();
            assert_eq!((day.jalali().as_str(), day.iso().as_str()), (jalali, gregorian));
            if !jalali.starts_with("11") {
                assert!(parse(jalali) == Ok(day), "{jalali}");
            }
        }
    }

    #[test]
    fn every_day_of_the_years_goes_there_and_back() {
        let mut day = NaiveDate::from_ymd_opt(1821, 3, 21).unwrap();
        let mut expected = Jalali { year: 1200, month: 1, day: 1 };
        while day.year() < 2122 {
            let date = BirthDate(day);
            let text = format!("{}/{:02}/{:02}", expected.year, expected.month, expected.day);
            assert_eq!(date.jalali(), text, "{day}");
            assert!(parse(&text) == Ok(date), "{text}");
            assert!(parse(&date.iso()) == Ok(date), "{day}");
            expected.day += 1;
            if expected.day > expected.days_in_month() {
                expected = Jalali { day: 1, month: expected.month + 1, ..expected };
            }
            if expected.month > 12 {
                expected = Jalali { year: expected.year + 1, month: 1, ..expected };
            }
            day = day.succ_opt().unwrap();
        }
        assert_eq!(expected.year, 1500);
    }

    #[test]
    fn the_long_years_are_those_of_the_almanacs() {
        let long: Vec<_> = (1340..=1440).filter(|year| Jalali::is_long(*year)).collect();
        assert_eq!(
            long,
            [
                1342, 1346, 1350, 1354, 1358, 1362, 1366, 1370, 1375, 1379, 1383, 1387, 1391, 1395, 1399, 1403, 1408,
                1412, 1416, 1420, 1424, 1428, 1432, 1436
            ]
        );
        assert_eq!(parse("1402/12/30"), Err(InvalidBirthDate::Day));
        assert_eq!(parse("1403/12/30").unwrap().iso(), "2025-03-20");
        assert_eq!(parse("2023-02-29"), Err(InvalidBirthDate::Day));
    }

    #[test]
    fn it_is_read_as_people_write_it() {
        let day = parse("1370/01/31").unwrap();
        for text in ["۱۳۷۰/۰۱/۳۱", "1370-01-31", "1370/1/31", " 1370/01/31 ", "1991-04-20", "1991/4/20"] {
            assert!(parse(text) == Ok(day), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "1370", "1370/01", "1370/01/01/01", "1370/01-01", "70/01/01/", "13700101", "1370//01", "a/b/c"]
        {
            assert_eq!(parse(text), Err(InvalidBirthDate::Form), "{text}");
        }
        for text in ["+370/01/01", "1370/01/001", "01370/01/01", "1370/-1/01", "-1370/01/01"] {
            assert_eq!(parse(text), Err(InvalidBirthDate::Form), "{text}");
        }
        for text in ["70/01/01", "1199/01/01", "1501/01/01", "1799-01-01", "2201-01-01"] {
            assert_eq!(parse(text), Err(InvalidBirthDate::Year), "{text}");
        }
        for text in ["1370/00/01", "1370/13/01", "1370/01/00", "1370/01/32", "1370/07/31", "1991-02-29", "1991-13-01"] {
            assert_eq!(parse(text), Err(InvalidBirthDate::Day), "{text}");
        }
    }

    #[test]
    fn a_day_is_in_the_future_until_it_begins_somewhere() {
        let now: DateTime<Utc> = "2026-03-20T09:59:59Z".parse().unwrap();
        assert!(!parse("2026-03-20").unwrap().is_in_future(now));
        assert!(parse("2026-03-21").unwrap().is_in_future(now));
        assert!(!parse("1405/01/01").unwrap().is_in_future(now + TimeDelta::seconds(1)));
    }

    #[test]
    fn it_does_not_print() {
        assert_eq!(format!("{:?}", parse("1370/01/01").unwrap()), "BirthDate([redacted])");
    }
}
