//! What access tokens say of an account beyond what all of them say: rules that an operator writes, and the facts that they
//! are held against.

use std::str::FromStr;

use countersign_token::{RESERVED_CLAIMS, USERNAME};
use serde_json::{Map, Value};

use super::{Account, EmailAddress, Phone, Roles};

/// Claims that mean something to others which nothing here stands for (RFC 7662 §2.2, RFC 7800, RFC 8693, RFC 9396).
const MISLEADING: [&str; 6] = ["active", "token_type", "cnf", "act", "may_act", "authorization_details"];
/// Deeper values are left out: not every reader of tokens would take them.
const MAX_DEPTH: usize = 8;

/// What a rule can speak of: an account, as it was when the token was granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The phone number, where it was proved.
    pub phone: Option<String>,
    /// The mail address, where it was proved.
    pub email: Option<String>,
    /// A phone number that was not proved.
    pub claimed_phone: Option<String>,
    /// A mail address that was not proved.
    pub claimed_email: Option<String>,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// The language of messages, or empty.
    pub locale: String,
    /// The person's name as a provider has confirmed it, or empty.
    pub full_name: String,
    /// Whether a provider has confirmed who the person is.
    pub identity_verified: bool,
    /// What services keep with the account.
    pub metadata: Map<String, Value>,
}

impl From<&Account> for Facts {
    fn from(account: &Account) -> Self {
        let phone = |phone: &Option<Phone>| phone.as_ref().map(|phone| phone.as_str().to_owned());
        let email = |email: &Option<EmailAddress>| email.as_ref().map(|email| email.as_str().to_owned());
        Self {
            phone: phone(&account.phone),
            email: email(&account.email),
            claimed_phone: phone(&account.claimed_phone),
            claimed_email: email(&account.claimed_email),
            first_name: account.first_name.clone(),
            last_name: account.last_name.clone(),
            locale: account.locale.clone(),
            full_name: account.identity.as_ref().map(|identity| identity.full_name.clone()).unwrap_or_default(),
            identity_verified: account.identity.is_some(),
            metadata: account.metadata.clone(),
        }
    }
}

/// A claim and where its value comes from: `name = source`, or several sources with `|` between, of which the first counts
/// that has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRule {
    name: String,
    sources: Vec<Source>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Field(Field),
    /// Whether the account has this role.
    Role(String),
    /// The member of the metadata at the end of this path.
    Metadata(Vec<String>),
}

/// A fact that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Phone,
    PhoneVerified,
    ClaimedPhone,
    Email,
    EmailVerified,
    ClaimedEmail,
    FirstName,
    LastName,
    Locale,
    FullName,
    IdentityVerified,
}

/// Why a text is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClaimRule {
    /// There is no `=`.
    #[error("`{0}` must be `name = source`")]
    Form(String),
    /// The name is none.
    #[error("the name `{0}` must be from 1 to 64 letters, digits and `-_.:/`")]
    Name(String),
    /// The name has a meaning already.
    #[error("`{0}` has a meaning of its own in access tokens and cannot be given another")]
    Reserved(String),
    /// There is no such source.
    #[error("`{0}` is no source: take a field of the account, `role:name` or `metadata.name`")]
    Source(String),
}

impl FromStr for ClaimRule {
    type Err = InvalidClaimRule;

    fn from_str(text: &str) -> Result<Self, InvalidClaimRule> {
        let (name, sources) = text.split_once('=').ok_or_else(|| InvalidClaimRule::Form(text.to_owned()))?;
        let name = name.trim();
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
        if !(1..=64).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(InvalidClaimRule::Name(name.to_owned()));
        }
        if name != USERNAME && (RESERVED_CLAIMS.contains(&name) || MISLEADING.contains(&name)) {
            return Err(InvalidClaimRule::Reserved(name.to_owned()));
        }
        let sources = sources.split('|').map(|source| source.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), sources })
    }
}

impl FromStr for Source {
    type Err = InvalidClaimRule;

    fn from_str(text: &str) -> Result<Self, InvalidClaimRule> {
        let unknown = || InvalidClaimRule::Source(text.to_owned());
        if let Some(role) = text.strip_prefix("role:") {
            let is_one_word = !role.is_empty() && !role.contains(char::is_whitespace);
            return is_one_word.then(|| Self::Role(role.to_owned())).ok_or_else(unknown);
        }
        if let Some(path) = text.strip_prefix("metadata.") {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            return if path.iter().any(String::is_empty) { Err(unknown()) } else { Ok(Self::Metadata(path)) };
        }
        let field = match text {
            "phone" => Field::Phone,
            "phone_verified" => Field::PhoneVerified,
            "claimed_phone" => Field::ClaimedPhone,
            "email" => Field::Email,
            "email_verified" => Field::EmailVerified,
            "claimed_email" => Field::ClaimedEmail,
            "first_name" => Field::FirstName,
            "last_name" => Field::LastName,
            "locale" => Field::Locale,
            "full_name" => Field::FullName,
            "identity_verified" => Field::IdentityVerified,
            _ => return Err(unknown()),
        };
        Ok(Self::Field(field))
    }
}

impl ClaimRule {
    /// The claim's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The members of the metadata that it speaks of. Tokens vouch for them, so they are for operators to set.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            Source::Metadata(path) => path.first().map(String::as_str),
            Source::Field(_) | Source::Role(_) => None,
        })
    }

    /// Its value for an account; none where no source has one.
    #[must_use]
    pub fn value(&self, facts: &Facts, roles: &Roles) -> Option<Value> {
        self.sources.iter().find_map(|source| source.value(facts, roles))
    }
}

impl Source {
    fn value(&self, facts: &Facts, roles: &Roles) -> Option<Value> {
        match self {
            Self::Field(field) => field.value(facts),
            Self::Role(role) => Some(Value::Bool(roles.contains(role))),
            Self::Metadata(path) => {
                let (first, rest) = path.split_first()?;
                let member =
                    rest.iter().try_fold(facts.metadata.get(first)?, |inner, name| inner.get(name.as_str()))?;
                Some(member).filter(|member| !member.is_null() && depth(member) <= MAX_DEPTH).cloned()
            }
        }
    }
}

impl Field {
    fn value(self, facts: &Facts) -> Option<Value> {
        let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        let option = |value: &Option<String>| value.as_deref().and_then(text);
        match self {
            Self::Phone => option(&facts.phone),
            Self::PhoneVerified => Some(facts.phone.is_some().into()),
            Self::ClaimedPhone => option(&facts.claimed_phone),
            Self::Email => option(&facts.email),
            Self::EmailVerified => Some(facts.email.is_some().into()),
            Self::ClaimedEmail => option(&facts.claimed_email),
            Self::FirstName => text(&facts.first_name),
            Self::LastName => text(&facts.last_name),
            Self::Locale => text(&facts.locale),
            Self::FullName => text(&facts.full_name),
            Self::IdentityVerified => Some(facts.identity_verified.into()),
        }
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(rule: &str, facts: &Facts) -> Option<Value> {
        rule.parse::<ClaimRule>().unwrap().value(facts, &Roles::parse("staff"))
    }

    #[test]
    fn rules_find_fields_roles_and_metadata() {
        let Value::Object(metadata) = json!({ "tenant": 7, "a": { "b": ["c"], "n": null } }) else { unreachable!() };
        let facts = Facts {
            email: Some("ali@example.com".to_owned()),
            claimed_phone: Some("+989121234567".to_owned()),
            first_name: "Ali".to_owned(),
            metadata,
            ..Facts::default()
        };
        for (rule, expected) in [
            ("x = phone", None),
            ("x=phone_verified", Some(json!(false))),
            ("x = claimed_phone", Some(json!("+989121234567"))),
            ("username = phone | email", Some(json!("ali@example.com"))),
            ("x = email_verified", Some(json!(true))),
            ("x = first_name", Some(json!("Ali"))),
            ("x = last_name", None),
            ("is_staff = role:staff", Some(json!(true))),
            ("is_admin = role:admin", Some(json!(false))),
            ("https://example.com/tenant = metadata.tenant", Some(json!(7))),
            ("x = metadata.a.b", Some(json!(["c"]))),
            ("x = metadata.a.n", None),
            ("x = metadata.a.b.c", None),
            ("x = metadata.none | full_name | locale", None),
            ("x = identity_verified", Some(json!(false))),
        ] {
            assert_eq!(value(rule, &facts), expected, "{rule}");
        }
        let deep = (0..9).fold(json!(1), |inner, _| json!([inner]));
        let facts = Facts { metadata: [("deep".to_owned(), deep)].into_iter().collect(), ..Facts::default() };
        assert_eq!(value("x = metadata.deep", &facts), None);
    }

    #[test]
    fn no_rule_gives_a_claim_another_meaning() {
        for name in RESERVED_CLAIMS.into_iter().filter(|name| *name != USERNAME).chain(MISLEADING) {
            let refused = format!("{name} = phone").parse::<ClaimRule>();
            assert_eq!(refused, Err(InvalidClaimRule::Reserved(name.to_owned())));
        }
        for text in [
            "",
            "phone",
            "= phone",
            "a b = phone",
            "x =",
            "x = password_hash",
            "x = phone|",
            "x = role:",
            "x = metadata",
            "x = metadata.",
            "x = metadata.a..b",
            "x = role:a b",
        ] {
            assert!(text.parse::<ClaimRule>().is_err(), "{text}");
        }
    }
}
