//! Tokens verified here, with no call for each. Owns the judgement: keys, claims, revocations and what is required, in the
//! order in which one needs the other, and what is done while that cannot be trusted.
//!
//! What is known is kept by two tasks: `keys` follows the public keys, `watch` follows the revocations, which `view` holds
//! together with how old they are. Both tasks end with the verifier.

mod builder;
mod keys;
mod view;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use countersign_token::{Expected, Rejection, Remembered};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

pub use self::builder::{VerifierBuilder, WhenStale};
use self::keys::Keys;
use self::view::Revocations;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::identity::Identity;
use crate::proto::v1;
use crate::refusal::{Refusal, Unsure};
use crate::require::Require;

/// Verifies access tokens from memory. Clones share what they know.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_client::{Connection, Require, Verifier};
///
/// let connection = Connection::to("https://auth.example.com").api_key("csk_example").connect()?;
/// let verifier = Verifier::builder(connection, "https://auth.example.com", "orders").start();
/// verifier.ready().await;
///
/// # let token = "";
/// let identity = verifier.check(token, &Require::new().scope("orders.read")).await?;
/// println!("{} may read orders", identity.account_id());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Running>);

/// The knowledge, and the tasks that keep it fresh. They hold the knowledge only, so that they end with this.
#[derive(Debug)]
struct Running {
    core: Arc<Core>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What is known, and what it is held against.
#[derive(Debug)]
struct Core {
    connection: Connection,
    clock: Clock,
    issuer: String,
    audience: String,
    leeway_seconds: u8,
    bound: TimeDelta,
    when_stale: WhenStale,
    heartbeat: Duration,
    remembered: Remembered<()>,
    keys: Keys,
    revocations: Revocations,
    /// Whether it has been said that the service does not let this caller ask, so that it is not said with each token.
    barred: AtomicBool,
}

/// Somebody whose token counts by itself.
enum Judgement {
    /// And has not been taken back, as far as can be told within the bound.
    Sure(Identity),
    /// And had not been taken back when something was last heard, which is too long ago.
    Stale(Identity),
}

impl Verifier {
    /// Begins with the way to the service, who issues the tokens (`token.issuer` at the service), and for whom they are
    /// meant, which is the name of the service that asks.
    ///
    /// The caller behind `connection` needs the permission `watch`, and `introspect` unless stale knowledge is to refuse.
    pub fn builder(connection: Connection, issuer: impl Into<String>, audience: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::new(connection, issuer.into(), audience.into())
    }

    /// Judges a token from memory. Never waits and never calls; for where there is no waiting, such as in interceptors.
    ///
    /// What only a call could tell is refused as [`Refusal::Unsure`]: knowledge that is older than the bound, and a key that
    /// is not known, which is asked for meanwhile. A key that a set of this second lacks is refused for good.
    pub fn verify(&self, token: &str, require: &Require) -> Result<Identity, Refusal> {
        match self.0.core.judge(token, require) {
            Ok(Judgement::Sure(identity)) => Ok(identity),
            Ok(Judgement::Stale(_)) => Err(Unsure::Stale.into()),
            Err(Refusal::Unsure(Unsure::UnknownKey)) if self.0.core.asked_just_now() => {
                Err(Rejection::UnknownKey.into())
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// The same, but waits where that helps: for a key that is not known, and, where [`WhenStale::Introspect`] was chosen,
    /// for the service's own answer while what is known here is older than the bound.
    pub async fn check(&self, token: &str, require: &Require) -> Result<Identity, Refusal> {
        let core = &self.0.core;
        let judgement = match core.judge(token, require) {
            Err(Refusal::Unsure(Unsure::UnknownKey | Unsure::NoKeys)) => core.judge_with_news(token, require).await,
            judgement => judgement,
        };
        match (judgement?, core.when_stale) {
            (Judgement::Sure(identity), _) => Ok(identity),
            (Judgement::Stale(identity), WhenStale::Introspect) => core.introspect(token, require, identity).await,
            (Judgement::Stale(_), WhenStale::Refuse) => Err(Unsure::Stale.into()),
        }
    }

    /// Waits until tokens can be judged: until keys and a first snapshot of revocations are there.
    ///
    /// This is without end where they never come, as with a wrong API key, or for a caller without the permission `watch`;
    /// the log says so at the level of errors. Put a limit to it ([`tokio::time::timeout`]) where somebody waits for the start.
    pub async fn ready(&self) {
        let core = &self.0.core;
        let (mut keys, mut told) = (core.keys.outcomes(), core.revocations.told());
        while core.keys.usable(&core.clock).is_none() || self.staleness() > self.bound() {
            tokio::select! {
                _ = keys.changed() => {}
                _ = told.changed() => {}
            }
        }
    }

    /// Up to when revocations are known.
    #[must_use]
    pub fn as_of(&self) -> DateTime<Utc> {
        self.0.core.revocations.view().as_of()
    }

    /// How old that is, by whichever clock makes it older.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        self.0.core.revocations.view().age(&self.0.core.clock).to_std().unwrap_or(Duration::MAX)
    }

    /// How old it may be.
    #[must_use]
    pub fn bound(&self) -> Duration {
        self.0.core.bound.to_std().unwrap_or_default()
    }

    /// How often the keys have been asked for.
    #[must_use]
    pub fn key_fetches(&self) -> u64 {
        self.0.core.keys.fetches()
    }

    /// How many revocations are known.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.0.core.revocations.view().len()
    }
}

impl Core {
    fn judge(&self, token: &str, require: &Require) -> Result<Judgement, Refusal> {
        let Some(keys) = self.keys.usable(&self.clock) else {
            self.keys.want();
            return Err(Unsure::NoKeys.into());
        };
        let known = match self.remembered.read(token, &keys.set) {
            Err(Rejection::UnknownKey) => {
                self.keys.want();
                return Err(Unsure::UnknownKey.into());
            }
            read => read?,
        };
        let now = self.clock.now();
        let expected = Expected {
            issuer: &self.issuer,
            audience: Some(require.audience_or(&self.audience)),
            leeway_seconds: self.leeway_seconds,
        };
        known.claims.check(&expected, now)?;
        let view = self.revocations.view();
        // What is known to be taken back stays so, however old that knowledge is.
        if view.covers(&known, now) {
            return Err(Refusal::Revoked);
        }
        let identity = Identity::new(known);
        require.check(&identity)?;
        Ok(if view.age(&self.clock) <= self.bound { Judgement::Sure(identity) } else { Judgement::Stale(identity) })
    }

    fn asked_just_now(&self) -> bool {
        self.keys.fetched_within(keys::PAUSE, &self.clock)
    }

    /// Judges again once the keys have been asked for, and for good if they were asked for after this token came.
    async fn judge_with_news(&self, token: &str, require: &Require) -> Result<Judgement, Refusal> {
        let mut news = self.keys.news()?;
        loop {
            let asked = news.next(self.connection.call_timeout()).await;
            match (self.judge(token, require), asked) {
                (Err(Refusal::Unsure(Unsure::UnknownKey)), keys::News::Fetched) => {
                    return Err(Rejection::UnknownKey.into());
                }
                (Err(Refusal::Unsure(Unsure::UnknownKey | Unsure::NoKeys)), keys::News::Older) => {}
                (judgement, _) => return judgement,
            }
        }
    }

    async fn introspect(&self, token: &str, require: &Require, identity: Identity) -> Result<Identity, Refusal> {
        let request = v1::IntrospectRequest {
            token: token.to_owned(),
            audience: require.audience_or(&self.audience).to_owned(),
            ..Default::default()
        };
        let answer = self.connection.answer(self.connection.tokens().introspect(request)).await.map_err(|status| {
            self.complain(&status);
            Unsure::Away
        })?;
        self.barred.store(false, Ordering::Relaxed);
        // All else was judged here. What the service holds against it can only be that it was taken back.
        if answer.active { Ok(identity) } else { Err(Refusal::Revoked) }
    }

    /// Says why there was no answer. What an operator has to mend is said aloud, once until an answer comes.
    fn complain(&self, status: &Status) {
        let code = status.code();
        let barred = matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented);
        if barred && !self.barred.swap(true, Ordering::Relaxed) {
            tracing::error!(?code, "tokens cannot be asked about; the caller needs the permission `introspect`");
        } else {
            tracing::debug!(?code, message = status.message(), "no introspection");
        }
    }
}
