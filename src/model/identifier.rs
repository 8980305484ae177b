//! What a person says to sign in with.

use super::{EmailAddress, Phone};

/// A telephone number or an email address, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// Codes come as a text message.
    Phone(Phone),
    /// Codes come as mail.
    Email(EmailAddress),
}

impl Identifier {
    /// The whole of it, in its one spelling: for the store, the message and a keyed hash, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(phone) => phone.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }

    /// What may be shown.
    #[must_use]
    pub fn masked(&self) -> String {
        match self {
            Self::Phone(phone) => phone.masked(),
            Self::Email(email) => email.masked(),
        }
    }

    /// `phone` or `email`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Phone(_) => "phone",
            Self::Email(_) => "email",
        }
    }
}

impl From<Phone> for Identifier {
    fn from(phone: Phone) -> Self {
        Self::Phone(phone)
    }
}

impl From<EmailAddress> for Identifier {
    fn from(email: EmailAddress) -> Self {
        Self::Email(email)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_kind_shows_itself_masked() {
        let phone = Identifier::from(Phone::parse("09121234567", "IR".parse().unwrap()).unwrap());
        let email = Identifier::from(EmailAddress::parse("ali@example.com").unwrap());
        for (identifier, kind, text, masked) in
            [(phone, "phone", "+989121234567", "+98*******67"), (email, "email", "ali@example.com", "a***@example.com")]
        {
            assert_eq!(identifier.kind(), kind);
            assert_eq!(identifier.as_str(), text);
            assert_eq!(identifier.masked(), masked);
            let debug = format!("{identifier:?}");
            assert!(debug.contains(masked) && !debug.contains(text), "{debug}");
        }
    }
}
