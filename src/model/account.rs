//! A person's account.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::{AccountId, EmailAddress, Phone};

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
    /// Whether it may sign in.
    pub state: AccountState,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
    /// When somebody last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
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

/// A set of role names, kept sorted and written with spaces between, in the database as in a token's `scope`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(Vec<String>);

impl Roles {
    /// The role that lets an account administer this service.
    pub const ADMIN: &str = "admin";

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

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}
