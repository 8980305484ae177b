//! What stands before a code leaves: how many there were, what they cost, and whether they are used.

use chrono::TimeDelta;

use super::{Guard, GuardError, Step, key, known_key, window_end};
use crate::cache::{Counter, Relief};
use crate::model::{Identifier, Network, Phone};

impl Guard {
    /// Whether another code may be sent to this identifier, on behalf of somebody in this network. It is counted, and its
    /// cost spent, with this call.
    pub async fn admit_code(&self, identifier: &Identifier, network: Network) -> Result<(), GuardError> {
        let phone = match identifier {
            Identifier::Phone(phone) => Some(phone),
            Identifier::Email(_) => None,
        };
        if let Some(phone) = phone
            && !self.limits.countries.is_empty()
            && !self.limits.countries.iter().any(|country| phone.may_be_in(*country))
        {
            self.metrics.refused("countries");
            return Err(GuardError::CountryNotServed);
        }
        let limits = &self.limits;
        let who = self.hidden(identifier);
        let known = Relief::Waived { by: known_key(&who, network) };
        let narrow = format!("{who}:{network}");
        let network = network.to_string();
        let (name, of_identifier) = self.step("codes_per_identifier", &who, limits.codes_per_identifier);
        let mut steps = vec![
            self.step("codes_per_identifier_and_network", &narrow, limits.codes_per_identifier_and_network),
            (name, of_identifier.relieved(known)),
            self.step("codes_per_network", &network, limits.codes_per_network),
            self.unused("network", &network, limits.unused_codes.network),
        ];
        if let Some(phone) = phone {
            steps.push(self.step("codes_per_prefix", phone.prefix(), limits.codes_per_prefix));
            steps.push(self.unused("prefix", phone.prefix(), limits.unused_codes.prefix));
        }
        steps.push(self.step("codes_in_all", "", limits.codes_in_all));
        let spend = self.spend(phone);
        let spends = spend.is_some();
        steps.extend(spend);
        let counts = self.admit(steps).await?;
        if let Some(spent) = counts.last().filter(|_| spends) {
            self.metrics.spent_today(spent.value);
        }
        Ok(())
    }

    /// A code that somebody in this network had had sent has been used.
    pub(super) fn usage(&self, identifier: &Identifier, asked_from: Network) -> Vec<Counter> {
        let end = window_end(self.clock.now(), self.limits.unused_codes.per);
        let used = |source: &str, bucket: &str| Counter::endless(used_key(source, bucket), end);
        let mut counters = vec![used("network", &asked_from.to_string())];
        if let Identifier::Phone(phone) = identifier {
            counters.push(used("prefix", phone.prefix()));
        }
        counters
    }

    /// Counts codes from one source that are sent: as many as may go unused, or so many times those that were used.
    ///
    /// Both counters end together. Otherwise the one of what was used could begin anew under a source that has sent much,
    /// and one whose codes are used would be refused.
    fn unused(&self, source: &'static str, bucket: &str, free: u64) -> Step {
        let settings = &self.limits.unused_codes;
        let end = window_end(self.clock.now(), settings.per);
        let used = Relief::Earned { by: used_key(source, bucket), each: settings.one_in };
        let counter = Counter::up(key("unused_codes", &format!("sent:{source}:{bucket}")), free, end);
        ("unused_codes", counter.relieved(used))
    }

    /// What the message costs, out of the day's budget.
    fn spend(&self, phone: Option<&Phone>) -> Option<Step> {
        let spend = &self.limits.spend;
        if spend.per_day == 0 {
            return None;
        }
        let cost = phone.map_or(spend.email, |phone| {
            // Where a number may be in several countries, it may cost what it costs in the dearest.
            let there = spend.countries.iter().filter(|(country, _)| phone.may_be_in(*country));
            there.map(|(_, cost)| *cost).max().unwrap_or(spend.sms)
        });
        let cost = i64::try_from(cost).ok().filter(|cost| *cost > 0)?;
        let end = window_end(self.clock.now(), TimeDelta::days(1));
        Some(("spend", Counter::up(key("spend", ""), spend.per_day, end).by(cost)))
    }
}

fn used_key(source: &str, bucket: &str) -> String {
    key("unused_codes", &format!("used:{source}:{bucket}"))
}
