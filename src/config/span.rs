//! Spans of time as operators write them: `250ms`, `30s`, `5m`, `12h`, `30d`.

use std::str::FromStr;

use chrono::TimeDelta;

/// A span read from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span(TimeDelta);

impl From<Span> for TimeDelta {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "must be a number and a unit: ms, s, m, h or d";
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: i64 = number.parse().map_err(|_| SHAPE)?;
        let span = match unit {
            "ms" => TimeDelta::try_milliseconds(number),
            "s" => TimeDelta::try_seconds(number),
            "m" => TimeDelta::try_minutes(number),
            "h" => TimeDelta::try_hours(number),
            "d" => TimeDelta::try_days(number),
            _ => None,
        };
        span.map(Self).ok_or(SHAPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        for (text, millis) in [("250ms", 250), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("1d", 86_400_000)]
        {
            assert_eq!(text.parse::<Span>(), Ok(Span(TimeDelta::milliseconds(millis))), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 s", "5w", "99999999999999999999s", "9223372036854775807d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
