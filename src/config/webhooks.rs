//! `[events.webhooks]`: how events are posted to endpoints of others.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;

section! {
    /// `[events.webhooks]`
    Webhooks {
        timeout: TimeDelta,
        attempts: u32,
        first_retry: TimeDelta,
        longest_retry: TimeDelta,
        in_flight: usize,
        secret_overlap: TimeDelta,
        allow_private_networks: bool,
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Webhooks> {
    let timeout = span(s, "events.webhooks.timeout", "100ms", "1m");
    let attempts = s.number("events.webhooks.attempts", 1..=100);
    let first_retry = span(s, "events.webhooks.first_retry", "1s", "1h");
    let longest_retry = span(s, "events.webhooks.longest_retry", "1s", "1d");
    let in_flight = s.number("events.webhooks.in_flight", 1..=256);
    let secret_overlap = span(s, "events.webhooks.secret_overlap", "0s", "90d");
    if first_retry.zip(longest_retry).is_some_and(|(first, longest)| first > longest) {
        s.fault("events.webhooks.first_retry", "must not be longer than events.webhooks.longest_retry".to_owned());
    }
    Some(Webhooks {
        timeout: timeout?,
        attempts: attempts?,
        first_retry: first_retry?,
        longest_retry: longest_retry?,
        in_flight: in_flight?,
        secret_overlap: secret_overlap?,
        allow_private_networks: s.flag("events.webhooks.allow_private_networks"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn load(webhooks: &str) -> Result<Config, ConfigError> {
        let file = format!("[events.webhooks]\n{webhooks}");
        Config::read(Settings::gather(Some(("test.toml", &file)), std::iter::empty()))
    }

    #[test]
    fn by_default_an_endpoint_may_be_away_for_most_of_a_day_and_nothing_private_is_reached() {
        let webhooks = load("").unwrap().webhooks;
        assert!(!webhooks.allow_private_networks);
        let wait = |attempt: u32| (webhooks.first_retry * 2_i32.pow(attempt.min(20))).min(webhooks.longest_retry);
        let all: TimeDelta = (0..webhooks.attempts - 1).map(wait).sum();
        // By chance each wait is shortened by a quarter on average.
        assert!((TimeDelta::hours(16)..TimeDelta::hours(24)).contains(&(all * 3 / 4)), "{all}");
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (set, setting) in [
            ("timeout = '0s'", "events.webhooks.timeout"),
            ("attempts = 0", "events.webhooks.attempts"),
            ("in_flight = 0", "events.webhooks.in_flight"),
            ("first_retry = '10m'\nlongest_retry = '5m'", "events.webhooks.first_retry"),
            ("secret_overlap = '91d'", "events.webhooks.secret_overlap"),
        ] {
            let problems = load(set).unwrap_err().0;
            assert_eq!(problems.iter().map(|problem| problem.setting.as_str()).collect::<Vec<_>>(), [setting], "{set}");
        }
    }
}
