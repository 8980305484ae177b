//! Accounts from elsewhere: what one says of itself, and whether it can be taken. A row that cannot spoils no other.

use std::fmt::{self, Display};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::credential::{StoredHash, UnfitHash};
use crate::model::{Account, AccountState, Cause, EmailAddress, Locale, Phone, Region, Role, Roles, parse_name};
use crate::secret::Secret;
use crate::store::{Imported, ImportedAccount, Owners, Store, StoreError};

/// An account as it is known elsewhere. In JSON, whatever is not known can be left out.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Its name there, for the report; it is not kept.
    pub id: Value,
    /// A phone number, in any spelling, or empty.
    #[serde(deserialize_with = "or_nothing")]
    pub phone: String,
    /// A mail address, or empty.
    #[serde(deserialize_with = "or_nothing")]
    pub email: String,
    /// Given name.
    #[serde(deserialize_with = "or_nothing")]
    pub first_name: String,
    /// Family name.
    #[serde(deserialize_with = "or_nothing")]
    pub last_name: String,
    /// The hash of its password as it was stored; empty, or Django's `!…`, for none.
    #[serde(deserialize_with = "or_nothing")]
    pub password_hash: String,
    /// Its roles.
    #[serde(deserialize_with = "or_nothing")]
    pub roles: Vec<String>,
    /// What services keep with it.
    #[serde(deserialize_with = "or_nothing")]
    pub metadata: Map<String, Value>,
    /// Whether it may not be signed in to.
    #[serde(deserialize_with = "or_nothing")]
    pub blocked: bool,
    /// When it came into being.
    pub created_at: Option<DateTime<Utc>>,
    /// When somebody last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
    /// `en`, `fa` or empty.
    #[serde(deserialize_with = "or_nothing")]
    pub locale: String,
    /// Whether phone number and mail address were never proved.
    #[serde(deserialize_with = "or_nothing")]
    pub unproved: bool,
}

/// Exports write `null` for what there is not.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Record { [redacted] }")
    }
}

impl Record {
    /// Leaves a password hash out that cannot be used, so that the account can be taken without.
    pub fn drop_unfit_hash(&mut self) {
        if hash(&self.password_hash).is_err() {
            self.password_hash.clear();
        }
    }
}

/// Why an account cannot be taken: which field, and what is wrong with it, but never the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {fault}")]
pub struct Unfit {
    field: &'static str,
    fault: String,
}

impl Unfit {
    /// What is wrong with a field.
    #[must_use]
    pub fn new(field: &'static str, fault: impl Display) -> Self {
        Self { field, fault: fault.to_string() }
    }
}

/// The way in for accounts from elsewhere.
#[derive(Debug)]
pub struct Imports {
    store: Store,
    region: Region,
}

impl Imports {
    /// Writes into `store`; phone numbers without a country are of `region`.
    #[must_use]
    pub const fn new(store: Store, region: Region) -> Self {
        Self { store, region }
    }

    /// Takes what can be taken, and tells for each what became of it. To repeat it does no harm.
    pub async fn take(
        &self,
        records: Vec<Result<Record, Unfit>>,
        cause: &Cause,
    ) -> Result<Vec<Result<Imported, Unfit>>, StoreError> {
        let (fit, outcomes) = self.check(records, cause.at);
        let taken = self.store.import_accounts(&fit, cause).await?;
        Ok(join(outcomes, taken))
    }

    /// Tells what would become of each, after those that `owners` has been told of.
    pub async fn rehearse(
        &self,
        records: Vec<Result<Record, Unfit>>,
        owners: &mut Owners,
        now: DateTime<Utc>,
    ) -> Result<Vec<Result<Imported, Unfit>>, StoreError> {
        let (fit, outcomes) = self.check(records, now);
        self.store.note_owners(owners, &fit).await?;
        Ok(join(outcomes, owners.plan(&fit)))
    }

    /// Those that can be taken, and for each whether it is one of them.
    fn check(
        &self,
        records: Vec<Result<Record, Unfit>>,
        now: DateTime<Utc>,
    ) -> (Vec<ImportedAccount>, Vec<Result<(), Unfit>>) {
        let mut fit = Vec::with_capacity(records.len());
        let outcomes = records.into_iter().map(|record| {
            fit.push(check(record?, self.region, now)?);
            Ok(())
        });
        let outcomes = outcomes.collect();
        (fit, outcomes)
    }
}

/// What became of those that could be taken, among the others.
fn join(outcomes: Vec<Result<(), Unfit>>, taken: Vec<Imported>) -> Vec<Result<Imported, Unfit>> {
    let mut taken = taken.into_iter();
    let mut next = |()| taken.next().ok_or_else(|| Unfit::new("account", "was not looked at"));
    outcomes.into_iter().map(|outcome| outcome.and_then(&mut next)).collect()
}

/// Reads one account; its first fault is enough.
fn check(record: Record, region: Region, now: DateTime<Utc>) -> Result<ImportedAccount, Unfit> {
    let phone = given(&record.phone).map(|text| Phone::parse(text, region)).transpose();
    let email = given(&record.email).map(EmailAddress::parse).transpose();
    let phone = phone.map_err(|fault| Unfit::new("phone", fault))?;
    let email = email.map_err(|fault| Unfit::new("email", fault))?;
    if phone.is_none() && email.is_none() {
        return Err(Unfit::new("phone", "must be given, or else email"));
    }
    if record.metadata.values().any(|value| !is_shallow(value, Account::METADATA_DEPTH - 1)) {
        return Err(Unfit::new(
            "metadata",
            format_args!("must not lie deeper than {} levels", Account::METADATA_DEPTH),
        ));
    }
    if Value::Object(record.metadata.clone()).to_string().len() > Account::MOST_METADATA {
        return Err(Unfit::new("metadata", format_args!("must be at most {} bytes as JSON", Account::MOST_METADATA)));
    }
    let locale = match record.locale.as_str() {
        "" => String::new(),
        tag => tag.parse::<Locale>().map_err(|fault| Unfit::new("locale", fault))?.as_str().to_owned(),
    };
    Ok(ImportedAccount {
        phone,
        email,
        is_unproved: record.unproved,
        first_name: name("first_name", &record.first_name)?,
        last_name: name("last_name", &record.last_name)?,
        locale,
        password_hash: hash(&record.password_hash)?,
        roles: roles(&record.roles)?,
        metadata: record.metadata,
        state: if record.blocked { AccountState::Blocked } else { AccountState::Active },
        created_at: past("created_at", record.created_at, now)?.unwrap_or(now),
        last_login_at: past("last_login_at", record.last_login_at, now)?,
    })
}

/// Whether no list or object lies deeper in another than so many levels.
fn is_shallow(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| is_shallow(item, levels - 1)),
        Value::Object(members) => levels > 0 && members.values().all(|item| is_shallow(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn given(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn name(field: &'static str, text: &str) -> Result<String, Unfit> {
    parse_name(text).map_err(|fault| Unfit::new(field, fault))
}

/// A hash whose cost is bounded; none where Django marks that no password fits.
fn hash(text: &str) -> Result<Option<Secret<String>>, Unfit> {
    if text.is_empty() || text.starts_with('!') {
        return Ok(None);
    }
    // A database takes no zero byte in a text, and one such salt would spoil the rows around it.
    if text.chars().any(char::is_control) {
        return Err(Unfit::new("password_hash", UnfitHash::Malformed));
    }
    StoredHash::parse(text).map_err(|fault| Unfit::new("password_hash", fault))?;
    Ok(Some(Secret::new(text.to_owned())))
}

fn roles(names: &[String]) -> Result<Roles, Unfit> {
    if names.len() > Roles::MOST {
        return Err(Unfit::new("roles", format_args!("must be at most {}", Roles::MOST)));
    }
    let read: Result<Vec<Role>, _> = names.iter().map(|name| name.parse()).collect();
    read.map(|roles| roles.into_iter().collect()).map_err(|fault| Unfit::new("roles", fault))
}

/// A time that has come. One from a clock that was ahead, or in a time zone that nobody noted, becomes now.
fn past(field: &'static str, time: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Unfit> {
    match time {
        Some(time) if time < DateTime::UNIX_EPOCH => Err(Unfit::new(field, "must not lie before 1970")),
        time => Ok(time.map(|time| time.min(now))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_900_000_000, 0).unwrap()
    }

    fn read(record: Record) -> Result<ImportedAccount, String> {
        check(record, "IR".parse().unwrap(), now()).map_err(|unfit| unfit.to_string())
    }

    fn ali() -> Record {
        Record { phone: "0912 123 4567".to_owned(), ..Record::default() }
    }

    #[test]
    fn identifiers_are_brought_into_their_one_spelling() {
        let account = read(Record { email: " Ali@Example.COM ".to_owned(), ..ali() }).unwrap();
        assert_eq!(account.phone.unwrap().as_str(), "+989121234567");
        assert_eq!(account.email.unwrap().as_str(), "ali@example.com");
        assert_eq!((account.created_at, account.last_login_at), (now(), None));
        assert!(account.password_hash.is_none());
        for (phone, email, field) in [("", " ", "phone"), ("0912", "", "phone"), ("09121234567", "ali", "email")] {
            let record = Record { phone: phone.to_owned(), email: email.to_owned(), ..Record::default() };
            assert!(read(record).unwrap_err().starts_with(field), "{phone} {email}");
        }
    }

    #[test]
    fn a_fault_names_the_field_and_never_the_value() {
        let with = |change: fn(&mut Record)| {
            let mut record = ali();
            change(&mut record);
            read(record).unwrap_err()
        };
        let metadata = |record: &mut Record| {
            record.metadata.insert("a".to_owned(), "secretsecret".repeat(400).into());
        };
        let deep = |record: &mut Record| {
            let value = (0..8).fold(Value::from("secret"), |inner, _| Value::from(vec![inner]));
            record.metadata.insert("a".to_owned(), value);
        };
        for (field, fault) in [
            ("metadata", with(deep)),
            ("first_name", with(|record| record.first_name = "secret\u{202e}".to_owned())),
            ("phone", with(|record| record.phone = "secret".to_owned())),
            ("email", with(|record| record.email = "secret".to_owned())),
            ("first_name", with(|record| record.first_name = "secret\n".repeat(2))),
            ("last_name", with(|record| record.last_name = "secret".repeat(30))),
            ("password_hash", with(|record| record.password_hash = "md5$secret$secret".to_owned())),
            ("password_hash", with(|record| record.password_hash = "pbkdf2_sha256$1$secret\0$c2VjcmV0".to_owned())),
            ("password_hash", with(|record| record.password_hash = "secret".to_owned())),
            ("roles", with(|record| record.roles = vec!["Secret Agent".to_owned()])),
            ("roles", with(|record| record.roles = vec!["secret".to_owned(); 33])),
            ("locale", with(|record| record.locale = "secret".to_owned())),
            ("metadata", with(metadata)),
            ("created_at", with(|record| record.created_at = DateTime::from_timestamp(-1, 0))),
        ] {
            assert!(fault.starts_with(&format!("{field}: ")), "{fault}");
            assert!(!fault.contains("ecret"), "{fault}");
        }
    }

    #[test]
    fn what_marks_that_there_is_no_password_is_none() {
        for text in ["", "!", "!Zr4TW0D5AhzGkGmc6iCuQWLe4IIIeISsNrJqXwT9"] {
            assert!(read(Record { password_hash: text.to_owned(), ..ali() }).unwrap().password_hash.is_none());
        }
    }

    #[test]
    fn a_time_to_come_becomes_now() {
        let late = Some(now() + chrono::TimeDelta::hours(4));
        let account = read(Record { created_at: late, last_login_at: late, ..ali() }).unwrap();
        assert_eq!((account.created_at, account.last_login_at), (now(), Some(now())));
    }
}
