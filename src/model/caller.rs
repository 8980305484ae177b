//! Services and gateways that call this one, and what they may do.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};

use super::CallerId;

/// A service or gateway with an API key, or with a certificate.
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
    /// The name in its TLS certificate, where it is known by that.
    pub certificate_name: Option<CertificateName>,
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

/// A name that a TLS certificate gives its owner (a subject alternative name): a URI, such as a SPIFFE ID, or a host's name.
/// Names are compared to the letter, but for hosts' names, whose case does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateName(String);

/// A text that is not such a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `uri:` with a URI, or `dns:` with the name of a host without `*`, of at most 512 visible characters")]
pub struct InvalidCertificateName;

impl CertificateName {
    /// The longest there may be, in bytes.
    const LONGEST: usize = 512;

    /// A URI as it stands in a certificate.
    #[must_use]
    pub fn uri(uri: &str) -> Option<Self> {
        format!("uri:{uri}").parse().ok()
    }

    /// The name of a host as it stands in a certificate.
    #[must_use]
    pub fn dns(name: &str) -> Option<Self> {
        format!("dns:{name}").parse().ok()
    }

    /// The name with its kind before it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateName {
    type Err = InvalidCertificateName;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateName> {
        if text.len() > Self::LONGEST || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidCertificateName);
        }
        let host = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        match text.split_once(':') {
            Some(("uri", uri))
                if uri.split_once(':').is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) =>
            {
                Ok(Self(text.to_owned()))
            }
            Some(("dns", name)) if !name.is_empty() && name.bytes().all(host) => Ok(Self(text.to_ascii_lowercase())),
            _ => Err(InvalidCertificateName),
        }
    }
}

impl fmt::Display for CertificateName {
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
    fn a_certificate_names_a_uri_or_a_host() {
        let read = |text: &str| text.parse::<CertificateName>().map(|name| name.to_string());
        assert_eq!(
            read("uri:spiffe://prod.example/ns/shop/sa/Orders").unwrap(),
            "uri:spiffe://prod.example/ns/shop/sa/Orders"
        );
        assert_eq!(read("dns:Orders.Internal").unwrap(), "dns:orders.internal");
        assert_eq!(CertificateName::dns("ORDERS"), "dns:orders".parse().ok());
        assert_eq!(CertificateName::uri("spiffe://a/b"), "uri:spiffe://a/b".parse().ok());
        let long = format!("dns:{}", "a".repeat(509));
        for bad in
            ["", "orders", "dns:", "uri:", "uri:nothing", "uri::x", "dns:*.internal", "dns:a b", "ip:10.0.0.1", &long]
        {
            assert_eq!(read(bad), Err(InvalidCertificateName), "{bad}");
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
