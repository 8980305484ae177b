//! Messages to people: what they say, by which way they leave, and what happens where a way is closed.

mod kinds;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::model::{ChallengeId, Channel, Content, EmailAddress, Identifier, Locale, Message, Purpose};
use countersign::random::Random;
use countersign::secret::Secret;

/// A message to a number or an address.
fn message(to: &str, locale: Locale, content: Content) -> Message {
    let to = if to.contains('@') {
        Identifier::Email(EmailAddress::parse(to).unwrap())
    } else {
        Identifier::Phone(to.parse().unwrap())
    };
    Message { id: Random.id(DateTime::UNIX_EPOCH), channel: Channel::of(&to), to, locale, content }
}

/// One of each kind, with a code for each purpose.
fn one_of_each(now: DateTime<Utc>) -> Vec<Content> {
    let expires_at = now + TimeDelta::minutes(2);
    let code = |purpose| Content::Code {
        challenge_id: ChallengeId(Random.id(now)),
        purpose,
        code: Secret::new("018245".to_owned()),
        expires_at,
    };
    let mut all: Vec<_> = Purpose::ALL.into_iter().map(code).collect();
    let url = Secret::new("https://app.example.com/reset?token=a&b=c".to_owned());
    all.extend([
        Content::PasswordReset { url, expires_at },
        Content::PasswordChanged { at: now },
        Content::IdentifierChanged { at: now, new_masked: "+98*******67".to_owned() },
        Content::AccountDeleted { at: now },
    ]);
    all
}
