//! A person's account.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{AccountId, EmailAddress, Identifier, Phone};
use crate::secret::Secret;

/// What the database knows of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its identifier, the `sub` of its tokens.
    pub id: AccountId,
    /// Phone number, where one is known; it has been proved.
    pub phone: Option<Phone>,
    /// Mail address, where one is known; it has been proved.
    pub email: Option<EmailAddress>,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// What the person may do, as other services understand it.
    pub roles: Roles,
    /// Whether it may sign in, as it was set; see [`Account::state_at`].
    pub state: AccountState,
    /// When a block ends by itself.
    pub blocked_until: Option<DateTime<Utc>>,
    /// Why it is blocked, as the operator put it, or empty.
    pub block_reason: String,
    /// A phone number that was never proved.
    pub claimed_phone: Option<Phone>,
    /// A mail address that was never proved.
    pub claimed_email: Option<EmailAddress>,
    /// The language of messages to the person, or empty.
    pub locale: String,
    /// What services keep with the account.
    pub metadata: Map<String, Value>,
    /// The hash of the password, as it is stored.
    pub password_hash: Option<Secret<String>>,
    /// What a provider has confirmed.
    pub identity: Option<Identity>,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
    /// When somebody last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// What a provider has confirmed about a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// When.
    pub verified_at: DateTime<Utc>,
    /// Who confirmed it.
    pub provider: String,
    /// The person's full name, or empty.
    pub full_name: String,
    /// The date of birth as `YYYY-MM-DD`, or empty.
    pub birth_date: String,
    /// Whether the person is alive, where the provider told.
    pub alive: Option<bool>,
}

impl Account {
    /// The largest metadata, in bytes of JSON.
    pub const MOST_METADATA: usize = 4096;
    /// How deep lists and objects may lie in one another there, the metadata themselves being the first.
    pub const METADATA_DEPTH: usize = 8;

    /// Whether its owner has proved that this is theirs.
    #[must_use]
    pub fn owns(&self, identifier: &Identifier) -> bool {
        match identifier {
            Identifier::Phone(phone) => self.phone.as_ref() == Some(phone),
            Identifier::Email(email) => self.email.as_ref() == Some(email),
        }
    }

    /// Whether it may sign in at this time: a block may have ended by itself.
    #[must_use]
    pub fn state_at(&self, now: DateTime<Utc>) -> AccountState {
        match self.state {
            AccountState::Blocked if self.blocked_until.is_some_and(|until| until <= now) => AccountState::Active,
            state => state,
        }
    }
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// It may sign in.
    Active,
    /// An operator has shut it.
    Blocked,
    /// Its owner has left.
    Deleted,
}

impl AccountState {
    /// The name the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Blocked => "blocked",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for AccountState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "active" => Ok(Self::Active),
            "blocked" => Ok(Self::Blocked),
            "deleted" => Ok(Self::Deleted),
            other => Err(format!("unknown account state `{other}`")),
        }
    }
}

/// The name of a role. It can stand in a token's `scope`, in a header and in a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Role(String);

/// Why a text is not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to 64 of `a-z`, `0-9`, `-`, `_`, `.` and `:`")]
pub struct InvalidRole;

impl Role {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b':');
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRole)
        }
    }
}

/// A set of role names, kept sorted and written with spaces between, in the database as in a token's `scope`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<String>);

impl Roles {
    /// The role that lets an account administer this service.
    pub const ADMIN: &str = "admin";
    /// How many an account may have.
    pub const MOST: usize = 32;

    /// Reads the stored form.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// Whether `role` is among them.
    #[must_use]
    pub fn contains(&self, role: &str) -> bool {
        self.0.iter().any(|own| own == role)
    }

    /// The names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl FromIterator<String> for Roles {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names.dedup();
        Self(names)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().map(|role| role.0).collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_word_of_plain_letters() {
        for good in ["admin", "a", "7", "shop:orders.read", "a-b_c", "a".repeat(64).as_str()] {
            assert_eq!(good.parse::<Role>().as_ref().map(Role::as_str), Ok(good));
        }
        for bad in ["", "Admin", "a b", "a\n", "a%", "a,b", "مدیر", "a".repeat(65).as_str()] {
            assert_eq!(bad.parse::<Role>(), Err(InvalidRole), "{bad:?}");
        }
        let roles: Roles = ["b", "a", "b"].iter().map(|role| role.parse::<Role>().unwrap()).collect();
        assert_eq!(roles.to_string(), "a b");
        assert_eq!(Roles::parse("a b"), roles);
    }
}
