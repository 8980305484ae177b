//! Whether a national id belongs to the person who states it. Owns the choice of the provider and what all of them have in
//! common: the breaker, the time an answer may take, and what is said about failures.

mod fault;
mod http;
mod zibal;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use parking_lot::Mutex;
use tracing::{debug, error, info, warn};

use self::fault::{Fault, Kind, Trouble};
use self::http::Http;
use self::zibal::Zibal;
use super::SetupError;
use super::exchange::Lost;
use crate::breaker::{Breaker, Permit};
use crate::clock::Clock;
use crate::config;
use crate::model::{BirthDate, NationalId, Phone, VerifiedIdentity};

/// When it may be worth another try after a single failure.
const SOON: TimeDelta = TimeDelta::seconds(5);

/// What the provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// All that was stated belongs to one person: this one.
    Matched(VerifiedIdentity),
    /// It does not, or there is no such person.
    NotMatched,
}

/// What the provider refused to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The national id.
    NationalId,
    /// The date of birth.
    BirthDate,
}

impl Input {
    /// The field's name in the contract.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::NationalId => "national_id",
            Self::BirthDate => "birth_date",
        }
    }
}

/// Why there is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be asked, or its answer is none. Whatever the cause, the person can only come back later.
    #[error("the identity provider cannot be asked now")]
    Unavailable {
        /// When that may be worth it.
        retry_after: TimeDelta,
    },
    /// The provider does not know whose this phone number is, because it is of another country, no mobile, or missing.
    #[error("the identity provider cannot match this phone number")]
    NotSupported,
    /// Identities are not verified here.
    #[error("no identity provider is configured")]
    NotConfigured,
    /// The provider says that this cannot be right.
    #[error("the identity provider refused {}", .0.field())]
    Refused(Input),
}

/// Where identities are verified. Clones share what they know of the provider.
#[derive(Clone, Debug)]
pub struct IdentityProvider(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    provider: ArcSwap<Provider>,
    breaker: Breaker,
    /// For one verification, however many questions it takes.
    patience: Duration,
    /// What the operator has been told must be mended, and has not been yet.
    complaint: Mutex<Option<Trouble>>,
    /// The last thing it said that is not known here.
    oddity: Mutex<Option<Trouble>>,
}

#[derive(Debug)]
enum Provider {
    None,
    Zibal(Zibal),
    Http(Box<Http>),
}

impl Provider {
    /// The one that is configured, and how long it may take.
    fn new(config: &config::Identity) -> Result<(Self, Duration), SetupError> {
        Ok(match config.provider {
            config::Provider::None => (Self::None, Duration::ZERO),
            config::Provider::Zibal => {
                let patience = config.zibal.timeout.to_std().unwrap_or_default();
                (Self::Zibal(Zibal::new(&config.zibal, patience)?), patience)
            }
            config::Provider::Http => {
                let patience = config.http.timeout.to_std().unwrap_or_default();
                (Self::Http(Box::new(Http::new(&config.http, patience)?)), patience)
            }
        })
    }
}

/// What a person states.
struct Stated {
    phone: Option<Phone>,
    national_id: NationalId,
    birth_date: Option<BirthDate>,
}

impl IdentityProvider {
    /// Sets up the one that is configured.
    pub fn new(config: &config::Identity, clock: Clock) -> Result<Self, SetupError> {
        let (provider, patience) = Provider::new(config)?;
        let breaker = Breaker::new(clock, config.failures, config.open_for);
        Ok(Self(Arc::new(Shared {
            provider: ArcSwap::from_pointee(provider),
            breaker,
            patience,
            complaint: Mutex::default(),
            oddity: Mutex::default(),
        })))
    }

    /// Asks with what is configured now, because the secret has changed.
    pub fn renew(&self, config: &config::Identity) -> Result<(), SetupError> {
        self.0.provider.store(Arc::new(Provider::new(config)?.0));
        Ok(())
    }

    /// Whether anybody can be asked at all.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        !matches!(**self.0.provider.load(), Provider::None)
    }

    /// Asks whether national id, phone number and, where it is given, date of birth belong to one person.
    ///
    /// The question is asked to its end even if whoever waits for the answer leaves: it may have been paid for, and leaving
    /// early must not look like a failure of the provider's.
    pub async fn verify(
        &self,
        phone: Option<&Phone>,
        national_id: &NationalId,
        birth_date: Option<&BirthDate>,
    ) -> Result<Finding, ProviderError> {
        match &**self.0.provider.load() {
            Provider::None => return Err(ProviderError::NotConfigured),
            Provider::Zibal(_) if !phone.is_some_and(zibal::knows) => return Err(ProviderError::NotSupported),
            Provider::Zibal(_) | Provider::Http(_) => {}
        }
        let permit = self.0.breaker.admit();
        let permit = permit.map_err(|open| ProviderError::Unavailable { retry_after: open.retry_after })?;
        let stated =
            Stated { phone: phone.cloned(), national_id: national_id.clone(), birth_date: birth_date.copied() };
        let asked = tokio::spawn(Arc::clone(&self.0).ask(stated, permit));
        asked.await.unwrap_or(Err(ProviderError::Unavailable { retry_after: SOON }))
    }
}

impl Shared {
    async fn ask(self: Arc<Self>, stated: Stated, permit: Permit) -> Result<Finding, ProviderError> {
        let answer = async {
            match &*self.provider.load_full() {
                Provider::None => Ok(Finding::NotMatched),
                Provider::Zibal(zibal) => zibal.ask(&stated).await,
                Provider::Http(http) => http.ask(&stated).await,
            }
        };
        match tokio::time::timeout(self.patience, answer).await.unwrap_or_else(|_| Err(Lost::Late.into())) {
            Ok(finding) => {
                self.recovered(permit);
                Ok(finding)
            }
            Err(Fault::Refused(input)) => {
                self.recovered(permit);
                Err(ProviderError::Refused(input))
            }
            Err(Fault::Trouble(trouble)) => {
                self.failed(permit, trouble);
                Err(ProviderError::Unavailable { retry_after: self.breaker.wait().unwrap_or(SOON) })
            }
        }
    }

    fn recovered(&self, permit: Permit) {
        let was_away = permit.succeeded();
        let was_wrong = self.complaint.lock().take().is_some();
        if was_away || was_wrong {
            info!("the identity provider answers again");
        }
    }

    /// What lasts is said when it begins, not with every inquiry.
    fn failed(&self, permit: Permit, trouble: Trouble) {
        let is_news = |said: &Mutex<Option<Trouble>>| said.lock().replace(trouble) != Some(trouble);
        match trouble.kind() {
            Kind::Odd => {
                self.recovered(permit);
                if is_news(&self.oddity) {
                    warn!(%trouble, "the identity provider said something that is not known here");
                }
            }
            Kind::Lasting => {
                permit.failed();
                if is_news(&self.complaint) {
                    error!(%trouble, "identities cannot be verified until somebody mends this");
                }
            }
            Kind::Passing => {
                if permit.failed() {
                    warn!(%trouble, "the identity provider keeps failing and is left alone for a while");
                }
            }
        }
        debug!(%trouble, "an identity could not be verified");
    }
}
