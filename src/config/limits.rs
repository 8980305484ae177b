//! `[limits]`: how often things may happen, and how much messages may cost.

use chrono::TimeDelta;

use super::read::{limit, span};
use super::source::Settings;
use crate::model::Region;

section! {
    /// `[limits]`
    Limits {
        countries: Vec<Region>,
        codes_per_identifier_and_network: Limit,
        codes_per_identifier: Limit,
        codes_per_network: Limit,
        codes_per_prefix: Limit,
        codes_in_all: Limit,
        spend: Spend,
        unused_codes: UnusedCodes,
        failed_codes: Limit,
        failed_passwords: Limit,
        attempts_per_identifier: Limit,
        attempts_per_network: Limit,
        known_networks: TimeDelta,
        sign_ins_per_network: Limit,
        registrations_per_network: Limit,
        resets_per_identifier_and_network: Limit,
        verifications_per_account: Limit,
        anonymous_per_network: Limit,
    }
}
section! {
    /// `[limits.spend]`
    Spend { per_day: u64, sms: u64, email: u64, countries: Vec<(Region, u64)>, }
}
section! {
    /// `[limits.unused_codes]`
    UnusedCodes { per: TimeDelta, network: u64, prefix: u64, one_in: u32, }
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many times
    pub count: u64,
    /// within how long.
    pub per: TimeDelta,
}

/// More than any sum of money, and small enough for every counter.
const MUCH: i64 = 1_000_000_000_000;

pub(super) fn read(s: &mut Settings) -> Option<Limits> {
    let countries = countries(s);
    let spend = self::spend(s);
    let unused_codes = self::unused_codes(s);
    let known_networks = span(s, "limits.known_networks", "1h", "365d");
    let mut limit = |name: &str| limit(s, &format!("limits.{name}"));
    let codes_per_identifier_and_network = limit("codes_per_identifier_and_network");
    let codes_per_identifier = limit("codes_per_identifier");
    let codes_per_network = limit("codes_per_network");
    let codes_per_prefix = limit("codes_per_prefix");
    let codes_in_all = limit("codes_in_all");
    let failed_codes = limit("failed_codes");
    let failed_passwords = limit("failed_passwords");
    let attempts_per_identifier = limit("attempts_per_identifier");
    let attempts_per_network = limit("attempts_per_network");
    let sign_ins_per_network = limit("sign_ins_per_network");
    let registrations_per_network = limit("registrations_per_network");
    let resets_per_identifier_and_network = limit("resets_per_identifier_and_network");
    let verifications_per_account = limit("verifications_per_account");
    let anonymous_per_network = limit("anonymous_per_network");
    Some(Limits {
        countries: countries?,
        codes_per_identifier_and_network: codes_per_identifier_and_network?,
        codes_per_identifier: codes_per_identifier?,
        codes_per_network: codes_per_network?,
        codes_per_prefix: codes_per_prefix?,
        codes_in_all: codes_in_all?,
        spend: spend?,
        unused_codes: unused_codes?,
        failed_codes: failed_codes?,
        failed_passwords: failed_passwords?,
        attempts_per_identifier: attempts_per_identifier?,
        attempts_per_network: attempts_per_network?,
        known_networks: known_networks?,
        sign_ins_per_network: sign_ins_per_network?,
        registrations_per_network: registrations_per_network?,
        resets_per_identifier_and_network: resets_per_identifier_and_network?,
        verifications_per_account: verifications_per_account?,
        anonymous_per_network: anonymous_per_network?,
    })
}

fn countries(s: &mut Settings) -> Option<Vec<Region>> {
    let countries = s.list("limits.countries").iter().map(|name| name.parse().ok()).collect::<Option<_>>();
    if countries.is_none() {
        s.fault("limits.countries", "must be two-letter codes of countries with a calling code, such as IR".to_owned());
    }
    countries
}

fn spend(s: &mut Settings) -> Option<Spend> {
    let per_day = s.number("limits.spend.per_day", 0..=MUCH);
    let sms = s.number("limits.spend.sms", 0..=MUCH);
    let email = s.number("limits.spend.email", 0..=MUCH);
    let priced = |text: &String| {
        let (country, cost) = text.split_once('=')?;
        let cost = cost.trim().parse().ok().filter(|cost| *cost <= MUCH.unsigned_abs())?;
        Some((country.trim().parse().ok()?, cost))
    };
    let countries = s.list("limits.spend.countries").iter().map(priced).collect::<Option<_>>();
    if countries.is_none() {
        s.fault("limits.spend.countries", "must be countries and what a message costs there, such as IR=1".to_owned());
    }
    Some(Spend { per_day: per_day?, sms: sms?, email: email?, countries: countries? })
}

fn unused_codes(s: &mut Settings) -> Option<UnusedCodes> {
    let per = span(s, "limits.unused_codes.per", "1m", "30d");
    let network = s.number("limits.unused_codes.network", 1..=MUCH);
    let prefix = s.number("limits.unused_codes.prefix", 1..=MUCH);
    let one_in = s.number("limits.unused_codes.one_in", 1..=1_000_000);
    Some(UnusedCodes { per: per?, network: network?, prefix: prefix?, one_in: one_in? })
}

#[cfg(test)]
mod tests {
    use super::super::{Config, ConfigError};
    use super::*;

    fn load(file: &str) -> Result<Config, ConfigError> {
        Config::read(Settings::gather(Some(("test.toml", file)), std::iter::empty()))
    }

    #[test]
    fn countries_and_prices_are_read() {
        let limits = load("[limits]\ncountries = ['IR', 'ae']\n[limits.spend]\ncountries = ['AE=4', 'us = 20']\n");
        let limits = limits.unwrap().limits;
        assert_eq!(limits.countries.iter().map(|region| region.as_str()).collect::<Vec<_>>(), ["IR", "AE"]);
        let prices: Vec<_> = limits.spend.countries.iter().map(|(region, cost)| (region.as_str(), *cost)).collect();
        assert_eq!(prices, [("AE", 4), ("US", 20)]);
    }

    #[test]
    fn by_default_messages_go_everywhere_and_a_stranger_has_less_than_a_person() {
        let limits = load("").unwrap().limits;
        assert!(limits.countries.is_empty() && limits.spend.per_day == 0);
        assert!(limits.codes_per_identifier_and_network.count < limits.codes_per_identifier.count);
        assert_eq!((limits.failed_codes.count, limits.failed_codes.per), (3, TimeDelta::hours(1)));
    }

    #[test]
    fn what_is_no_country_or_price_is_named() {
        let file = "[limits]\ncountries = ['IR', 'Iran']\n[limits.spend]\ncountries = ['AE=-1']\nper_day = -1\n";
        let problems = load(file).unwrap_err().0;
        let settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(settings, ["limits.countries", "limits.spend.per_day", "limits.spend.countries"]);
    }
}
