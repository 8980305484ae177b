//! `[load]` and `[callers]`: how many connections and calls a node takes at a time, and what each caller may take of that.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;
use crate::model::CallerName;

section! {
    /// `[load]`
    Load {
        grpc_connections: usize,
        http_connections: usize,
        /// None where they are not counted by address.
        connections_per_address: Option<usize>,
        /// None where they may get as old as they like.
        connection_age: Option<TimeDelta>,
        calls: usize,
        late: TimeDelta,
    }
}
section! {
    /// `[callers]`
    Callers {
        usual: Allowance,
        /// By the name of a caller.
        each: Vec<(String, Allowance)>,
        /// None where they are not counted.
        strangers_per_second: Option<u32>,
    }
}

/// What somebody may take of a node. What is none has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// So many calls in a second.
    pub per_second: Option<u32>,
    /// So many calls at a time.
    pub at_once: Option<u32>,
}

/// More than a node can do, and small enough to count in nanoseconds.
const MANY: u32 = 10_000_000;

pub(super) fn read(s: &mut Settings) -> Option<Load> {
    let grpc_connections = s.number("load.grpc_connections", 1..=1_000_000);
    let http_connections = s.number("load.http_connections", 1..=1_000_000);
    let connections_per_address = s.number("load.connections_per_address", 0..=1_000_000);
    let connection_age = span(s, "load.connection_age", "0s", "30d");
    let calls = s.number("load.calls", 4..=1_000_000);
    let late = span(s, "load.late", "10ms", "1m");
    Some(Load {
        grpc_connections: grpc_connections?,
        http_connections: http_connections?,
        connections_per_address: connections_per_address.map(|most| Some(most).filter(|most| *most > 0))?,
        connection_age: connection_age.map(|age| Some(age).filter(|age| !age.is_zero()))?,
        calls: calls?,
        late: late?,
    })
}

pub(super) fn read_callers(s: &mut Settings) -> Option<Callers> {
    let mut number = |name: &str| s.number(name, 0..=i64::from(MANY)).map(|most| Some(most).filter(|most| *most > 0));
    let per_second = number("callers.calls_per_second");
    let at_once = number("callers.calls_at_once");
    let strangers_per_second = number("callers.strangers_per_second");
    let each = s.list("callers.each").iter().map(|text| allowance(text)).collect::<Option<_>>();
    if each.is_none() {
        let fault =
            "must be names of callers with calls per second, calls at a time, or both, such as `orders = 500/s 64`";
        s.fault("callers.each", fault.to_owned());
    }
    let usual = Allowance { per_second: per_second?, at_once: at_once? };
    Some(Callers { usual, each: each?, strangers_per_second: strangers_per_second? })
}

/// A caller's name and what it may take: `orders = 500/s 64`. What is not said has no limit for it.
fn allowance(text: &str) -> Option<(String, Allowance)> {
    let (name, said) = text.split_once('=')?;
    let name: CallerName = name.trim().parse().ok()?;
    let mut allowance = Allowance::default();
    for word in said.split_ascii_whitespace() {
        let (place, number) = match word.strip_suffix("/s") {
            Some(number) => (&mut allowance.per_second, number),
            None => (&mut allowance.at_once, word),
        };
        let number = number.parse().ok().filter(|number| (1..=MANY).contains(number))?;
        if place.replace(number).is_some() {
            return None;
        }
    }
    (allowance != Allowance::default()).then(|| (name.to_string(), allowance))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn load(file: &str) -> Result<Config, ConfigError> {
        Config::read(Settings::gather(Some(("test.toml", file)), std::iter::empty()))
    }

    #[test]
    fn callers_may_be_told_apart() {
        let each = ["a = 500/s 64", "b=7", " c.d =  9/s", "e = 64 500/s"].map(allowance);
        let read = each.map(|read| read.map(|(name, allowance)| (name, allowance.per_second, allowance.at_once)));
        let expected = [("a", Some(500), Some(64)), ("b", None, Some(7)), ("c.d", Some(9), None)];
        for (read, (name, per_second, at_once)) in read.iter().zip(expected) {
            assert_eq!(read, &Some((name.to_owned(), per_second, at_once)));
        }
        assert_eq!(read[3].as_ref().map(|read| (read.1, read.2)), Some((Some(500), Some(64))));
        for wrong in ["a", "a =", "= 5", "A = 5", "a = 0", "a = 5/m", "a = -5", "a = 5 6", "a = 5/s 6/s", "a = 5/s, 6"]
        {
            assert_eq!(allowance(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn nought_is_no_limit_and_what_is_wrong_is_named() {
        let config = load("").unwrap();
        assert_eq!(config.callers.usual, Allowance::default());
        assert!(config.load.connections_per_address.is_none() && config.callers.strangers_per_second.is_none());
        let config = load("[load]\nconnection_age = '0s'\n[callers]\ncalls_at_once = 3\n").unwrap();
        assert_eq!((config.load.connection_age, config.callers.usual.at_once), (None, Some(3)));
        let wrong = "[load]\ncalls = 0\nlate = '1ms'\n[callers]\neach = ['a']\ncalls_per_second = -1\n";
        let problems = load(wrong).unwrap_err().0;
        let settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(settings, ["load.calls", "load.late", "callers.calls_per_second", "callers.each"]);
    }
}
