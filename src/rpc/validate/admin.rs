//! What operators ask for, and what they want changed.

use std::collections::BTreeSet;
use std::fmt::Display;

use chrono::{DateTime, Utc};

use super::{Faults, YEAR_10000};
use crate::identity::NewPerson;
use crate::model::{AccountState, EmailAddress, Phone, Region, Role, Roles};
use crate::proto::v1;
use crate::secret::Secret;
use crate::store::{AccountChange, AccountFilter, EventFilter};

impl Faults {
    /// Which accounts.
    pub(crate) fn account_filter(&mut self, filter: Option<&v1::AccountFilter>, region: Region) -> AccountFilter {
        let Some(filter) = filter else { return AccountFilter::default() };
        let state = match v1::AccountState::try_from(filter.state) {
            Ok(v1::AccountState::Unspecified) => None,
            Ok(v1::AccountState::Active) => Some(AccountState::Active),
            Ok(v1::AccountState::Blocked) => Some(AccountState::Blocked),
            Ok(v1::AccountState::Deleted) => Some(AccountState::Deleted),
            Err(_) => {
                self.add("filter.state", "is unknown");
                None
            }
        };
        AccountFilter {
            state,
            phone: self.given("filter.phone", &filter.phone, |text| Phone::parse(text, region)),
            email: self.given("filter.email", &filter.email, EmailAddress::parse),
            name_prefix: Some(self.name("filter.name_prefix", &filter.name_prefix)).filter(|name| !name.is_empty()),
            role: self.given("filter.role", &filter.role, str::parse::<Role>),
            created_from: self.time("filter.created_from", filter.created_from),
            created_before: self.time("filter.created_before", filter.created_before),
        }
    }

    /// Which events.
    pub(crate) fn event_filter(&mut self, filter: Option<&v1::AuditFilter>) -> EventFilter {
        let Some(filter) = filter else { return EventFilter::default() };
        EventFilter {
            account_id: self.given("filter.account_id", &filter.account_id, str::parse),
            kind: self.given("filter.kind", &filter.kind, str::parse),
            actor: Some(self.text("filter.actor", &filter.actor, 64)).filter(|actor| !actor.is_empty()),
            from: self.time("filter.from", filter.from),
            before: self.time("filter.before", filter.before),
        }
    }

    /// Somebody for whom an account is to be opened.
    pub(crate) fn new_person(&mut self, message: &v1::CreateAccountRequest, region: Region) -> Option<NewPerson> {
        let Some(account) = &message.account else {
            self.add("account", "must say whose");
            return None;
        };
        if account.phone.is_empty() && account.email.is_empty() {
            self.add("account", "must have a phone number or a mail address");
        }
        Some(NewPerson {
            phone: self.given("account.phone", &account.phone, |text| Phone::parse(text, region)),
            email: self.given("account.email", &account.email, EmailAddress::parse),
            first_name: self.name("account.first_name", &account.first_name),
            last_name: self.name("account.last_name", &account.last_name),
            roles: self.roles("account.roles", &account.roles),
            locale: self.locale("account.locale", &account.locale),
            metadata: self.metadata("account.metadata", account.metadata.as_ref()),
            password: Some(message.password.clone()).filter(|text| !text.is_empty()).map(Secret::new),
        })
    }

    /// What an operator wants to be different about an account: the fields that the mask names, of those they may set.
    pub(crate) fn account_change(&mut self, account: &v1::Account, paths: &[String]) -> AccountChange {
        let mut change = AccountChange::default();
        if paths.is_empty() {
            self.add("update_mask", "must name at least one field");
        }
        for path in paths.iter().collect::<BTreeSet<_>>() {
            match path.as_str() {
                "first_name" => change.first_name = Some(self.name("account.first_name", &account.first_name)),
                "last_name" => change.last_name = Some(self.name("account.last_name", &account.last_name)),
                "roles" => change.roles = Some(self.roles("account.roles", &account.roles)),
                "locale" => change.locale = Some(self.locale("account.locale", &account.locale)),
                "metadata" => {
                    change.metadata = Some(self.metadata("account.metadata", account.metadata.as_ref()));
                }
                _ => {
                    let fault = "may name `first_name`, `last_name`, `roles`, `locale` and `metadata` only";
                    self.add("update_mask", fault);
                    break;
                }
            }
        }
        change
    }

    /// The names of roles: not too many, and each of them one.
    pub(crate) fn roles(&mut self, field: &str, names: &[String]) -> Roles {
        if names.len() > Roles::MOST {
            self.add(field, format_args!("must be at most {}", Roles::MOST));
            return Roles::default();
        }
        let read = names.iter().enumerate().filter_map(|(at, name)| self.parse(&format!("{field}[{at}]"), name));
        read.collect::<Vec<Role>>().into_iter().collect()
    }

    /// A moment.
    fn time(&mut self, field: &str, time: Option<prost_types::Timestamp>) -> Option<DateTime<Utc>> {
        let time = time?;
        let nanos = u32::try_from(time.nanos).ok();
        let read = nanos.and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos));
        let read = read.filter(|time| (0..YEAR_10000).contains(&time.timestamp()));
        if read.is_none() {
            self.add(field, "must be a time between the years 1970 and 9999");
        }
        read
    }

    /// A value that may be absent.
    fn given<T, E: Display>(&mut self, field: &str, text: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        if text.is_empty() {
            return None;
        }
        read(text).map_err(|fault| self.add(field, fault)).ok()
    }
}
