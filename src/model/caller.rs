//! Services and gateways that call this one, and what they may do.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::CallerId;

/// A service or gateway with an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its identifier.
    pub id: CallerId,
    /// What operators call it; unique.
    pub name: String,
    /// What it may do.
    pub permissions: Permissions,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When its key was last replaced.
    pub rotated_at: Option<DateTime<Utc>>,
}

/// A caller's name: one that can be written anywhere, in a log, a metric, a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerName(String);

/// A text that is not a caller's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be from 1 to 64 of a-z, 0-9, `-`, `_` and `.`, a letter first")]
pub struct InvalidCallerName;

impl FromStr for CallerName {
    type Err = InvalidCallerName;

    fn from_str(text: &str) -> Result<Self, InvalidCallerName> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts_well || text.len() > 64 || !text.bytes().all(allowed) {
            return Err(InvalidCallerName);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// One thing a caller may be allowed to do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name operators use and the database keeps.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

permissions! {
    /// Ask whether tokens count.
    Introspect = "introspect",
    /// Take tokens, sessions and accounts' tokens back.
    Revoke = "revoke",
    /// Speak for end users: its word on their address and device is believed.
    ActForClients = "act_for_clients",
    /// Administer the service.
    Admin = "admin",
    /// Follow revocations.
    Watch = "watch",
    /// Ask, as a gateway, whether requests may pass.
    Check = "check",
}

impl FromStr for Permission {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|permission| permission.as_str()).collect();
            format!("unknown permission `{text}`; there are: {}", known.join(", "))
        })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Whether `permission` is in the set.
    #[must_use]
    pub const fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u8) != 0
    }

    /// Every member, in order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(permissions.into_iter().fold(0, |set, permission| set | 1 << permission as u8))
    }
}

impl Permissions {
    /// Reads the stored form: names with spaces between. One that a later release knows grants nothing here.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(|name| name.parse::<Permission>().ok()).collect()
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Permission::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_written_anywhere() {
        assert_eq!("orders-api.v2".parse::<CallerName>().map(|name| name.to_string()), Ok("orders-api.v2".to_owned()));
        for bad in ["", "9lives", "Bad", "a b", "a/b", "\u{e9}", &"a".repeat(65)] {
            assert_eq!(bad.parse::<CallerName>(), Err(InvalidCallerName), "{bad}");
        }
    }

    #[test]
    fn a_set_survives_its_stored_form() {
        let set: Permissions = [Permission::Admin, Permission::Introspect].into_iter().collect();
        assert_eq!(set.to_string(), "introspect admin");
        assert_eq!(Permissions::parse(&set.to_string()), set);
        assert!(!set.contains(Permission::Revoke));
        assert_eq!(Permissions::parse("introspect admin and_more"), set);
    }
}
