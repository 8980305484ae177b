//! Identity providers: what they are asked, what their answers mean, and what happens while they do not answer.

mod endpoint;
pub(crate) mod registry;
mod trouble;
mod zibal;

use countersign::clock::Clock;
use countersign::config::Config;
use countersign::connect::{Finding, IdentityProvider, ProviderError};
use countersign::model::{BirthDate, NationalId, Phone};

/// The person that the registry knows.
pub(crate) const NATIONAL_ID: &str = "0013542419";
pub(crate) const PHONE: &str = "+989121234567";
pub(crate) const BORN: &str = "1370/01/31";

/// A provider with these settings, by their names within `identity`.
fn provider(clock: &Clock, settings: &[(&str, &str)]) -> IdentityProvider {
    let variables = settings.iter().map(|(name, value)| {
        let name = name.to_ascii_uppercase().replace('.', "__");
        (format!("COUNTERSIGN__IDENTITY__{name}"), (*value).to_owned())
    });
    let config = Config::load(None, variables).unwrap();
    IdentityProvider::new(&config.identity, clock.clone()).unwrap()
}

/// Zibal at this address.
fn zibal_at(clock: &Clock, url: &str) -> IdentityProvider {
    zibal_within(clock, url, "20s")
}

/// Zibal at this address, with so long to answer.
fn zibal_within(clock: &Clock, url: &str, timeout: &str) -> IdentityProvider {
    let settings = [
        ("provider", "zibal"),
        ("zibal.url", url),
        ("zibal.token", registry::TOKEN),
        ("zibal.timeout", timeout),
        ("failures", "3"),
        ("open_for", "30s"),
    ];
    provider(clock, &settings)
}

fn clock() -> Clock {
    Clock::manual(chrono::DateTime::from_timestamp(1_900_000_000, 0).unwrap())
}

/// What comes of stating this.
async fn verify(
    provider: &IdentityProvider,
    phone: Option<&str>,
    national_id: &str,
    birth_date: Option<&str>,
) -> Result<Finding, ProviderError> {
    let phone: Option<Phone> = phone.map(|phone| phone.parse().unwrap());
    let birth_date: Option<BirthDate> = birth_date.map(|date| date.parse().unwrap());
    provider.verify(phone.as_ref(), &NationalId::parse(national_id).unwrap(), birth_date.as_ref()).await
}

/// After how many seconds to come back.
#[track_caller]
fn unavailable(outcome: Result<Finding, ProviderError>) -> i64 {
    match outcome {
        Err(ProviderError::Unavailable { retry_after }) => retry_after.num_seconds(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_a_provider_nobody_is_asked() {
    let outcome = verify(&provider(&clock(), &[]), Some(PHONE), NATIONAL_ID, Some(BORN)).await;
    assert_eq!(outcome, Err(ProviderError::NotConfigured));
}
