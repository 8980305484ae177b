//! What a route needs of those who ask to pass, as its configuration says it. What cannot be read lets nobody pass.

/// What a request needs to pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'a> {
    /// Names with spaces between, all of which the token must have.
    scopes: Option<&'a str>,
    /// Names with spaces between, one of which the token must have.
    roles: Option<&'a str>,
    /// Whom the token must be meant for; the first audience of ours where none is named.
    pub audience: Option<&'a str>,
    anonymous: Option<bool>,
    optional: Option<bool>,
}

/// A need that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such need, it is named twice, or its value cannot be read")]
pub struct Unreadable;

impl<'a> Needs<'a> {
    /// The names of all needs.
    pub const NAMES: [&'static str; 5] = ["scopes", "roles", "audience", "anonymous", "optional"];

    /// Adds a need by its name. Empty values are not read: more likely than not, somebody's template had nothing to put in.
    pub fn add(&mut self, name: &str, value: &'a str) -> Result<(), Unreadable> {
        let value = value.trim_matches(' ');
        if value.is_empty() || value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(Unreadable);
        }
        match name {
            "scopes" => once(&mut self.scopes, Some(value)),
            "roles" => once(&mut self.roles, Some(value)),
            "audience" => once(&mut self.audience, Some(value)),
            "anonymous" => once(&mut self.anonymous, word(value, "allow", "deny")),
            "optional" => once(&mut self.optional, word(value, "true", "false")),
            _ => Err(Unreadable),
        }
    }

    /// Whether visitors may pass.
    #[must_use]
    pub fn anonymous(&self) -> bool {
        self.anonymous.unwrap_or_default()
    }

    /// Whether a request without a token may pass.
    #[must_use]
    pub fn optional(&self) -> bool {
        self.optional.unwrap_or_default()
    }

    /// The scopes, one by one.
    pub fn scopes(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        names(self.scopes)
    }

    /// The roles, one by one.
    pub fn roles(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        names(self.roles)
    }
}

/// Fills a place that was empty, with what could be read.
fn once<T>(place: &mut Option<T>, read: Option<T>) -> Result<(), Unreadable> {
    let read = read.ok_or(Unreadable)?;
    if place.replace(read).is_none() { Ok(()) } else { Err(Unreadable) }
}

fn word(value: &str, yes: &str, no: &str) -> Option<bool> {
    if value == yes { Some(true) } else { (value == no).then_some(false) }
}

fn names(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(' ').filter(|name| !name.is_empty())
}
