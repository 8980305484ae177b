//! What the cache keeps of a guided sign-in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Needed, Profile};
use crate::credential::Challenge;
use crate::model::{Channel, EmailAddress, Identifier};
use crate::session::Registration;

/// A digest of the input that a step was taken with.
pub(super) type Taken = [u8; 32];

/// What is needed next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    Code(Challenge),
    Password,
    SetPassword,
    Profile,
    Done,
}

impl Stage {
    pub(super) const fn needed(&self) -> Needed {
        match self {
            Self::Code(_) => Needed::Code,
            Self::Password => Needed::Password,
            Self::SetPassword => Needed::SetPassword,
            Self::Profile => Needed::Profile,
            Self::Done => Needed::Nothing,
        }
    }
}

/// A flow as the cache keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Flow {
    phone: Option<String>,
    email: Option<String>,
    /// Of which client it is.
    pub(super) bound_to: [u8; 32],
    pub(super) stage: Stage,
    /// What the last step was taken with.
    pub(super) last: Option<Taken>,
    /// How many steps were taken.
    pub(super) steps: u32,
    /// How many codes were asked for.
    pub(super) codes: u32,
    /// How the code came that proved who it is.
    pub(super) proved_by: Option<Channel>,
    /// Whether the person had no account then.
    pub(super) is_new: bool,
    /// The hash of the password that a new person has set.
    pub(super) password_hash: Option<String>,
    first_name: String,
    last_name: String,
    locale: String,
    metadata: Map<String, Value>,
    pub(super) ends_at: DateTime<Utc>,
}

impl Flow {
    pub(super) fn new(identifier: &Identifier, bound_to: [u8; 32], stage: Stage, ends_at: DateTime<Utc>) -> Self {
        let (phone, email) = match identifier {
            Identifier::Phone(phone) => (Some(phone.as_str().to_owned()), None),
            Identifier::Email(email) => (None, Some(email.as_str().to_owned())),
        };
        Self {
            phone,
            email,
            bound_to,
            stage,
            last: None,
            steps: 0,
            codes: 1,
            proved_by: None,
            is_new: false,
            password_hash: None,
            first_name: String::new(),
            last_name: String::new(),
            locale: String::new(),
            metadata: Map::new(),
            ends_at,
        }
    }

    pub(super) fn identifier(&self) -> Option<Identifier> {
        match (&self.phone, &self.email) {
            (Some(phone), _) => phone.parse().ok().map(Identifier::Phone),
            (None, Some(email)) => EmailAddress::parse(email).ok().map(Identifier::Email),
            (None, None) => None,
        }
    }

    pub(super) fn tell(&mut self, profile: Profile) {
        let Profile { first_name, last_name, locale, metadata } = profile;
        (self.first_name, self.last_name, self.locale, self.metadata) = (first_name, last_name, locale, metadata);
    }

    /// What is known of the person so far, but for the password.
    pub(super) fn registration(&self) -> Registration {
        Registration {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            locale: self.locale.clone(),
            metadata: self.metadata.clone(),
            ..Registration::default()
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What cannot be read, because another release wrote it, counts as absent.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
