//! Messages to people: what they say, by which way they leave, and what happens where a way is closed.

mod fallback;
mod hostile;
mod kinds;
mod mail;
mod mailbox;
mod provider;
mod sms;
mod wrong;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::model::{ChallengeId, Channel, Content, EmailAddress, Identifier, Locale, Message, Purpose};
use countersign::random::Random;
use countersign::secret::Secret;

use crate::harness::TestApp;

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

/// Hands a message in.
fn send(app: &TestApp, to: &str, locale: Locale, content: Content) {
    app.node().app().notifier.reserve().unwrap().send(message(to, locale, content));
}

/// A code to sign in with.
fn code(app: &TestApp) -> Content {
    one_of_each(app.now()).remove(0)
}

/// How many messages have met this end.
fn count(app: &TestApp, channel: &str, provider: &str, outcome: &str) -> usize {
    let line =
        format!("countersign_messages_total{{channel=\"{channel}\",provider=\"{provider}\",outcome=\"{outcome}\"}} ");
    let text = app.node().app().metrics.render().unwrap();
    text.lines().find_map(|one| one.strip_prefix(&line)).map_or(0, |number| number.parse().unwrap())
}

/// Waits until so many messages have met this end.
async fn counted(app: &TestApp, channel: &str, provider: &str, outcome: &str, wanted: usize) {
    for _ in 0..3_000 {
        if count(app, channel, provider, outcome) >= wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = app.node().app().metrics.render().unwrap();
    assert_eq!(count(app, channel, provider, outcome), wanted, "{provider} {outcome}\n{text}");
}
