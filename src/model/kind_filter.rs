//! Which kinds of events somebody wants.

use std::fmt;
use std::str::FromStr;

use super::EventKind;

/// Kinds of events, by their names (`account.created`) or as all of an area (`account.*`). Nothing said is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KindFilter(Vec<String>);

/// A text that names neither a kind of event nor an area.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a kind of event, such as `account.created`, nor an area, such as `account.*`")]
pub struct UnknownKind(pub String);

impl KindFilter {
    /// Reads them one by one.
    pub fn parse(kinds: &[impl AsRef<str>]) -> Result<Self, UnknownKind> {
        let kinds = kinds.iter().map(|kind| kind.as_ref().trim());
        let kinds =
            kinds.map(|kind| if is_known(kind) { Ok(kind.to_owned()) } else { Err(UnknownKind(kind.to_owned())) });
        kinds.collect::<Result<_, _>>().map(Self)
    }

    /// Reads the stored form. What a later release has written stays as it is.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(text.split(',').filter(|kind| !kind.is_empty()).map(str::to_owned).collect())
    }

    /// What is wanted, by name; nothing where all is.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Whether events of this kind are wanted.
    #[must_use]
    pub fn lets_through(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| covers(wanted, kind))
    }
}

/// Those, and no others.
impl FromIterator<EventKind> for KindFilter {
    fn from_iter<I: IntoIterator<Item = EventKind>>(kinds: I) -> Self {
        Self(kinds.into_iter().map(|kind| kind.as_str().to_owned()).collect())
    }
}

/// With commas between, as it is stored.
impl fmt::Display for KindFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// The counterpart of `Display`.
impl FromStr for KindFilter {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::parse(&text.split(',').filter(|kind| !kind.trim().is_empty()).collect::<Vec<_>>())
    }
}

fn is_known(kind: &str) -> bool {
    EventKind::ALL.iter().any(|known| covers(kind, known.as_str()))
}

fn covers(wanted: &str, kind: &str) -> bool {
    match wanted.strip_suffix(".*") {
        Some(area) => kind.strip_prefix(area).is_some_and(|rest| rest.starts_with('.')),
        None => wanted == kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_lets_through_what_it_names() {
        let filter: KindFilter = "account.*, session.ended".parse().unwrap();
        for (kind, wanted) in [
            ("account.created", true),
            ("account.blocked", true),
            ("session.ended", true),
            ("session.created", false),
            ("accounts.created", false),
            ("account", false),
        ] {
            assert_eq!(filter.lets_through(kind), wanted, "{kind}");
        }
        assert_eq!(filter.to_string().parse::<KindFilter>().unwrap(), filter);
        assert!(KindFilter::default().lets_through("anything"));
    }

    #[test]
    fn what_is_no_kind_is_refused_by_name() {
        for text in ["account.craeted", "acount.*", "*", ".*", "account.created.*"] {
            assert_eq!(text.parse::<KindFilter>(), Err(UnknownKind(text.to_owned())));
        }
    }
}
