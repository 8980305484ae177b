//! Access tokens of this installation: issued, and judged from memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

use super::{
    ACCESS_TOKEN_TYPE, AccessClaims, Expected, Keyring, KeyringError, Keys, Rejection, Remembered, Replica,
    SigningError,
};
use crate::clock::Clock;
use crate::config;
use crate::metrics::{Introspected, Metrics};
use crate::model::{AccountId, TokenId};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{Grant, Store, StoreError};

/// The smallest step that a token's identifier can tell.
const JUST_AFTER: TimeDelta = TimeDelta::milliseconds(1);
/// How often, at most, an unknown key makes a node read the keys again.
const RELOAD_PAUSE: TimeDelta = TimeDelta::seconds(1);

/// Issues access tokens and says whether they count.
#[derive(Debug)]
pub struct AccessTokens {
    /// What signs and verifies.
    pub keyring: Arc<Keyring>,
    /// What has been taken back.
    pub replica: Arc<Replica>,
    store: Store,
    clock: Clock,
    settings: config::Token,
    bound: TimeDelta,
    remembered: Remembered<Encoded>,
    last_reload: Mutex<DateTime<Utc>>,
    metrics: Metrics,
    /// Whether it has been said that claims are left out.
    warned: AtomicBool,
}

/// A token that a key of ours has signed, with what of answers about it stays the same.
pub type Known = countersign_token::Known<Encoded>;

/// What of answers about a token stays the same, found out or encoded by whoever answers so first.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// Whether it is of our issuer, and for the first of our audiences.
    is_for_us: OnceLock<Result<(), Rejection>>,
    /// Of an introspection.
    pub introspection: OnceLock<Bytes>,
    /// The claims as JSON, without the brace that opens it.
    pub members: OnceLock<Bytes>,
    /// Of a ruling that lets a gateway's request pass.
    pub ruling: OnceLock<Bytes>,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The token.
    pub token: Secret<String>,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
}

/// What else a token must be to count.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// Meant for this audience; the first of ours where none is named.
    pub audience: Option<&'a str>,
    /// Good for all of these.
    pub scopes: &'a [String],
}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inactive {
    /// By itself.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// It was taken back.
    #[error("the token was revoked")]
    Revoked,
    /// It is not good for what is demanded.
    #[error("the token lacks a scope")]
    Scope,
}

/// A judgement from memory.
#[derive(Clone, Debug)]
pub enum Judgement {
    /// It counts.
    Active(Arc<Known>),
    /// It does not.
    Inactive(Inactive),
    /// It would count, if nothing has been revoked that this node has not heard of.
    Unsure(Arc<Known>),
}

/// What tokens are held against, read once for all that are judged in one go.
#[derive(Debug)]
pub struct Moment {
    /// The time.
    pub now: DateTime<Utc>,
    /// No revocation that was committed before this is overlooked.
    pub as_of: DateTime<Utc>,
    /// Whether that is recent enough to be sure.
    is_fresh: bool,
    keys: arc_swap::Guard<Arc<Keys>>,
}

/// A judgement that holds, and up to when it knows of revocations.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The token, if it counts.
    pub verdict: Result<Arc<Known>, Inactive>,
    /// No revocation that was committed before this has been overlooked.
    pub as_of: DateTime<Utc>,
}

/// Why there is no judgement.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Memory is out of date, and the database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// A token cannot be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl AccessError {
    /// Whether the same may succeed a little later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) | Self::Keyring(KeyringError::Store(error)) => error.is_passing(),
            Self::Keyring(_) | Self::Signing(_) => false,
        }
    }
}

impl AccessTokens {
    /// Signs with `keyring` and asks `replica`, or the database where the replica is out of date.
    #[must_use]
    pub fn new(
        keyring: Arc<Keyring>,
        replica: Arc<Replica>,
        store: Store,
        clock: Clock,
        settings: config::Token,
        bound: TimeDelta,
        metrics: Metrics,
    ) -> Self {
        let remembered = Remembered::new(settings.remembered);
        let last_reload = Mutex::new(DateTime::UNIX_EPOCH);
        Self {
            keyring,
            replica,
            store,
            clock,
            settings,
            bound,
            remembered,
            last_reload,
            metrics,
            warned: AtomicBool::new(false),
        }
    }

    /// How long an access token lives.
    #[must_use]
    pub const fn lifetime(&self) -> TimeDelta {
        self.settings.access_lifetime
    }

    /// How long a visitor's token lives.
    #[must_use]
    pub const fn anonymous_lifetime(&self) -> TimeDelta {
        self.settings.anonymous_lifetime
    }

    /// For how long an answer may be kept by those who accept to learn of a revocation that much later.
    #[must_use]
    pub const fn bound(&self) -> TimeDelta {
        self.bound
    }

    /// A token for a session. It expires when the session's row says that its last token does.
    pub fn issue(&self, grant: &Grant, now: DateTime<Utc>) -> Result<Issued, AccessError> {
        let session = &grant.session;
        // A node with a fast clock may have cut this account off at a moment that has not come here yet; what is issued
        // after that cut-off must be told from what was issued before.
        let now = self.replica.cut_off(session.account_id).map_or(now, |cut_off| now.max(cut_off + JUST_AFTER));
        let claims = AccessClaims {
            sid: Some(session.id),
            client_id: session.client_id.clone(),
            scope: self.settings.scopes.join(" "),
            roles: grant.roles.names().to_vec(),
            amr: session.amr.split_ascii_whitespace().map(str::to_owned).collect(),
            auth_time: Some(session.created_at.timestamp()),
            device_id: Some(session.device_id.clone()).filter(|id| !id.is_empty()),
            ..self.blank(session.account_id, now, session.access_expires_at)
        };
        self.sign_with_facts(claims, grant, session.access_expires_at)
    }

    /// Whether tokens tell more of their owner than the roles.
    #[must_use]
    pub const fn tells_facts(&self) -> bool {
        !self.settings.claims.is_empty()
    }

    /// Adds the claims that are configured, as many as fit.
    fn sign_with_facts(
        &self,
        mut claims: AccessClaims,
        grant: &Grant,
        expires_at: DateTime<Utc>,
    ) -> Result<Issued, AccessError> {
        let mut added = Vec::new();
        for rule in grant.facts.as_ref().map(|_| self.settings.claims.as_slice()).unwrap_or_default() {
            let value = grant.facts.as_ref().and_then(|facts| rule.value(facts, &grant.roles));
            if let Some(value) = value
                && claims.set(rule.name(), value)
            {
                added.push(rule.name());
            }
        }
        let issued = self.sign(&claims, expires_at)?;
        let size = issued.token.expose().len();
        if size <= self.settings.max_bytes || added.is_empty() {
            return Ok(issued);
        }
        // All but the payload stays as long as it is.
        let around = size - encoded(claims.to_json().len());
        while around + encoded(claims.to_json().len()) > self.settings.max_bytes {
            let Some(name) = added.pop() else { break };
            claims.unset(name);
            self.metrics.claim_left_out();
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    claim = name,
                    "an access token would be larger than token.max_bytes; claims are left out"
                );
            }
        }
        self.sign(&claims, expires_at)
    }

    /// A token for a visitor without an account.
    pub fn issue_anonymous(
        &self,
        visitor: AccountId,
        client_id: &str,
        now: DateTime<Utc>,
    ) -> Result<Issued, AccessError> {
        let expires_at = now + self.settings.anonymous_lifetime;
        let claims = AccessClaims {
            client_id: client_id.to_owned(),
            scope: self.settings.anonymous_scopes.join(" "),
            anon: true,
            ..self.blank(visitor, now, expires_at)
        };
        self.sign(&claims, expires_at)
    }

    fn blank(&self, sub: AccountId, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> AccessClaims {
        AccessClaims {
            iss: self.settings.issuer.clone(),
            sub,
            aud: self.settings.audience.clone(),
            exp: expires_at.timestamp(),
            iat: now.timestamp(),
            nbf: now.timestamp(),
            jti: TokenId(Random.id(now)),
            sid: None,
            client_id: String::new(),
            scope: String::new(),
            roles: Vec::new(),
            amr: Vec::new(),
            auth_time: None,
            anon: false,
            device_id: None,
            username: None,
            extra: serde_json::Map::new(),
        }
    }

    fn sign(&self, claims: &AccessClaims, expires_at: DateTime<Utc>) -> Result<Issued, AccessError> {
        let token = self.keyring.keys().active.sign(ACCESS_TOKEN_TYPE, &claims.to_json())?;
        let expires_at = DateTime::from_timestamp(expires_at.timestamp(), 0).unwrap_or(expires_at);
        Ok(Issued { token: token.into(), expires_at })
    }

    /// Judges a token from memory, without waiting for anything: an interceptor can do it.
    pub fn judge(&self, token: &str, demands: Demands<'_>) -> Judgement {
        let known = match self.known(token) {
            Ok(known) => known,
            Err(rejection) => return Judgement::Inactive(rejection.into()),
        };
        self.weigh(known, demands, &self.moment())
    }

    /// The present, for [`Self::recall`].
    pub fn moment(&self) -> Moment {
        // Read before any judgement: it must not claim to know of what was learnt after it.
        let as_of = self.replica.as_of();
        let now = self.clock.now();
        Moment { now, as_of, is_fresh: self.replica.is_fresh(now, self.bound), keys: self.keyring.keys() }
    }

    /// Judges a token that is remembered, if memory suffices for that.
    pub fn recall(&self, token: &[u8], demands: Demands<'_>, moment: &Moment) -> Option<Result<Arc<Known>, Inactive>> {
        let known = self.remembered.recall(token, &moment.keys.set)?;
        match self.weigh(known, demands, moment) {
            Judgement::Active(known) => {
                self.metrics.introspected(Introspected::Active);
                Some(Ok(known))
            }
            Judgement::Inactive(inactive) => {
                self.metrics.introspected(Introspected::Inactive);
                Some(Err(inactive))
            }
            Judgement::Unsure(_) => None,
        }
    }

    fn weigh(&self, known: Arc<Known>, demands: Demands<'_>, moment: &Moment) -> Judgement {
        if let Err(inactive) = self.check(&known, demands, moment.now) {
            return Judgement::Inactive(inactive);
        }
        let AccessClaims { jti, sid, sub, .. } = known.claims;
        if self.replica.covers(jti, sid, sub, known.issued_at, moment.now) {
            return Judgement::Inactive(Inactive::Revoked);
        }
        if moment.is_fresh { Judgement::Active(known) } else { Judgement::Unsure(known) }
    }

    /// Judges a token. Waits only where memory does not suffice: for keys it has not heard of, or for the database when its
    /// knowledge of revocations is older than the bound.
    pub async fn introspect(&self, token: &str, demands: Demands<'_>) -> Result<Answer, AccessError> {
        let answer = self.ask(token, demands).await;
        self.metrics.introspected(match &answer {
            Ok(Answer { verdict: Ok(_), .. }) => Introspected::Active,
            Ok(Answer { verdict: Err(_), .. }) => Introspected::Inactive,
            Err(_) => Introspected::Unavailable,
        });
        answer
    }

    async fn ask(&self, token: &str, demands: Demands<'_>) -> Result<Answer, AccessError> {
        // Read before the judgement: it must not claim to know of what was learnt after it.
        let as_of = self.replica.as_of();
        let mut judgement = self.judge(token, demands);
        if matches!(judgement, Judgement::Inactive(Inactive::Rejected(Rejection::UnknownKey)))
            && self.recognise(token).await?.is_ok()
        {
            judgement = self.judge(token, demands);
        }
        match judgement {
            Judgement::Active(known) => Ok(Answer { verdict: Ok(known), as_of }),
            Judgement::Inactive(inactive) => Ok(Answer { verdict: Err(inactive), as_of }),
            Judgement::Unsure(known) => {
                let as_of = self.clock.now();
                let verdict = if self.is_revoked(&known).await? { Err(Inactive::Revoked) } else { Ok(known) };
                Ok(Answer { verdict, as_of })
            }
        }
    }

    /// Asks the database whether a token was taken back.
    pub async fn is_revoked(&self, known: &Known) -> Result<bool, StoreError> {
        let AccessClaims { jti, sid, sub, .. } = known.claims;
        let now = self.clock.now();
        let found = self.store.revocations_of(jti, sid, sub, now).await?;
        let replica = Replica::default();
        for found in &found {
            replica.apply(&found.revocation);
        }
        Ok(replica.covers(jti, sid, sub, known.issued_at, now))
    }

    /// The same as [`Self::known`], and reads the keys again where it has not heard of the token's.
    pub async fn recognise(&self, token: &str) -> Result<Result<Arc<Known>, Rejection>, AccessError> {
        let known = self.known(token);
        if known.as_ref().err() != Some(&Rejection::UnknownKey) || !self.may_reload() {
            return Ok(known);
        }
        self.keyring.reload().await?;
        Ok(self.known(token))
    }

    /// A token that a key of ours has signed, whether or not it counts any more.
    pub fn known(&self, token: &str) -> Result<Arc<Known>, Rejection> {
        self.remembered.read(token, &self.keyring.keys().set)
    }

    fn check(&self, known: &Known, demands: Demands<'_>, now: DateTime<Utc>) -> Result<(), Inactive> {
        let claims = &known.claims;
        let leeway_seconds = u8::try_from(self.settings.leeway.num_seconds()).unwrap_or(0);
        let expected = |audience| Expected { issuer: &self.settings.issuer, audience, leeway_seconds };
        match demands.audience {
            // Whether it is for us is the same each time.
            None => {
                let ours = self.settings.audience.first().map(String::as_str);
                let note = known.note.get_or_init(Encoded::default);
                let is_for_us = note.is_for_us.get_or_init(|| claims.check_parties(&expected(ours)));
                is_for_us.as_ref().map_err(Rejection::clone)?;
            }
            audience => claims.check_parties(&expected(audience))?,
        }
        claims.check_times(leeway_seconds, now)?;
        let has = |scope: &String| claims.scope.split(' ').any(|own| own == scope);
        if demands.scopes.iter().all(has) { Ok(()) } else { Err(Inactive::Scope) }
    }

    fn may_reload(&self) -> bool {
        let now = self.clock.now();
        let mut last = self.last_reload.lock();
        let may = now - *last >= RELOAD_PAUSE || now < *last;
        if may {
            *last = now;
        }
        may
    }
}

/// The length of so many bytes in base64 without padding.
const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

impl Issued {
    /// For how many seconds it is good from now on, counted in whole seconds as its claims are.
    #[must_use]
    pub fn expires_in(&self, now: DateTime<Utc>) -> i64 {
        (self.expires_at.timestamp() - now.timestamp()).max(0)
    }
}
