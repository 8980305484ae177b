//! An app that stays signed in. Owns the tokens it has, when the next ones are fetched, and what ends it.
//!
//! Refresh tokens are used once, so the exchange itself is in `refresh`, which makes sure that there is one at a time and
//! that none is lost. Where tokens are kept is for a [`TokenStore`]; `attach` sends them with calls.

mod attach;
mod refresh;
mod store;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub use self::attach::{Attach, AttachLayer};
use self::refresh::Flight;
pub use self::store::{FileStore, MemoryStore, Stored, TokenStore};
use crate::clock::{self, Clock};
use crate::connection::Connection;
use crate::proto::v1::{self, ErrorReason};
use crate::refusal::DOMAIN;

/// An app's session. Clones share it.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_client::{Connection, FileStore, Resumed, Session};
///
/// let connection = Connection::to("https://auth.example.com").connect()?;
/// let builder = Session::builder(connection, FileStore::open("session.json")?);
/// # let tokens_of_a_sign_in = Default::default();
/// let session = match builder.resume().await? {
///     Resumed::Session(session) => session,
///     Resumed::Nothing(builder) => builder.begin(tokens_of_a_sign_in).await?,
/// };
/// let token = session.access_token().await?;
/// println!("good until {}", token.expires_at());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Session(Arc<Shared>);

struct Shared {
    connection: Connection,
    store: Arc<dyn TokenStore>,
    clock: Clock,
    ahead: TimeDelta,
    least: TimeDelta,
    patience: Duration,
    client: Option<v1::ClientContext>,
    state: Mutex<State>,
    /// One thing at a time is done with the refresh token.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    stored: Stored,
    /// Until when the access token lives by the steady clock.
    alive_until: i64,
    /// Whether the store has an older pair, with the name of the exchange that brought this one.
    unsaved: bool,
    ended: Option<SessionEnded>,
    flight: Option<Flight>,
    /// Until when nothing is fetched ahead of time, because it has just failed.
    quiet_until: i64,
}

/// How a session is to be kept. There are no copies of it, as two sessions that refreshed one pair of tokens would take each
/// other for thieves.
pub struct SessionBuilder {
    connection: Connection,
    store: Arc<dyn TokenStore>,
    clock: Clock,
    ahead: Duration,
    least: Duration,
    patience: Duration,
    client: Option<v1::ClientContext>,
}

/// What was in the store.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an app has one, once, and takes it apart at once")]
pub enum Resumed {
    /// A session, which goes on.
    Session(Session),
    /// Nothing: somebody has to sign in first, for [`SessionBuilder::begin`].
    Nothing(SessionBuilder),
}

/// An access token to send as `authorization: Bearer …`.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken {
    token: String,
    expires_at: DateTime<Utc>,
}

/// Why a session is over. The person has to sign in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionEnded {
    /// The service does not know the refresh token.
    #[error("the refresh token is none of this service's")]
    TokenInvalid,
    /// The refresh token had been replaced long ago, so that somebody else may have used it.
    #[error("the refresh token was used before, perhaps by somebody else")]
    TokenReused,
    /// It was ended elsewhere, has expired, or its account may not sign in.
    #[error("the session has ended")]
    Ended,
    /// It was ended here.
    #[error("the session was signed out")]
    SignedOut,
}

/// Why there is no token.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionError {
    /// The session is over.
    #[error(transparent)]
    Ended(#[from] SessionEnded),
    /// The service gave no answer for as long as was waited. Nothing is lost; the next try goes on with the same exchange.
    #[error("the service gives no answer: {0}")]
    Unavailable(Status),
    /// The service refused for a reason that has nothing to do with the session, such as a wrong API key. Nothing is lost.
    #[error("the service refused: {0}")]
    Refused(Status),
    /// The tokens cannot be kept, so that nothing was sent; what a sign-in had just brought was given back.
    #[error("the tokens cannot be kept: {0}")]
    Store(#[source] Arc<io::Error>),
}

impl Session {
    /// Begins with the way to the service and a place for the tokens.
    pub fn builder(connection: Connection, store: impl TokenStore) -> SessionBuilder {
        SessionBuilder {
            connection,
            store: Arc::new(store),
            clock: Clock::system(),
            ahead: Duration::from_mins(1),
            least: Duration::from_secs(10),
            patience: Duration::from_secs(30),
            client: None,
        }
    }

    /// A token that lives long enough to be used.
    ///
    /// If its end is near, the next one is fetched meanwhile; if it is too near, that is waited for. However many ask, there
    /// is one exchange, and all of them get what comes of it.
    pub async fn access_token(&self) -> Result<AccessToken, SessionError> {
        let flight = {
            let mut state = self.0.state.lock();
            state.check()?;
            let left = state.life_left(&self.0.clock);
            let lifetime = state.stored.access_expires_at - state.stored.asked_at;
            let enough = left > self.0.least.min(lifetime / 10);
            if left > self.0.ahead.min(lifetime / 3) || (enough && state.quiet_until > self.0.clock.steady()) {
                return Ok(state.token());
            }
            let flight = self.0.take_off(&mut state);
            if enough {
                return Ok(state.token());
            }
            flight
        };
        let outcome = flight.landing().await;
        let state = self.0.state.lock();
        state.check()?;
        // Even where the service is away, what lives is good until it ends.
        if state.life_left(&self.0.clock) > TimeDelta::zero() {
            Ok(state.token())
        } else {
            outcome.map(|()| state.token())
        }
    }

    /// Another token than this one, which a service has refused although it should live.
    pub async fn renew(&self, refused: &AccessToken) -> Result<AccessToken, SessionError> {
        {
            let mut state = self.0.state.lock();
            if state.stored.access_token == refused.token {
                state.alive_until = i64::MIN;
            }
        }
        self.access_token().await
    }

    /// Whether the session is over, and why.
    #[must_use]
    pub fn ended(&self) -> Option<SessionEnded> {
        self.0.state.lock().ended
    }

    /// Ends the session at the service, and forgets it here. Where the service gives no answer the session goes on.
    pub async fn sign_out(&self) -> Result<(), SessionError> {
        self.0.sign_out().await
    }

    /// A layer that sends the token with calls.
    #[must_use]
    pub fn attach(&self) -> AttachLayer {
        AttachLayer::new(self.clone())
    }
}

impl SessionBuilder {
    /// How long before its end a token is replaced: 1 min, unless told otherwise, or a third of its life if that is less.
    #[must_use]
    pub const fn ahead(mut self, span: Duration) -> Self {
        self.ahead = span;
        self
    }

    /// How much life a token that is handed out has at least: 10 s, unless told otherwise, or a tenth of its life if that is
    /// less.
    #[must_use]
    pub const fn least(mut self, span: Duration) -> Self {
        self.least = span;
        self
    }

    /// How long an exchange is tried before those who wait are told that there is no answer: 30 s, unless told otherwise.
    #[must_use]
    pub const fn patience(mut self, span: Duration) -> Self {
        self.patience = span;
        self
    }

    /// What the service is told of the device with each exchange.
    #[must_use]
    pub fn client(mut self, client: v1::ClientContext) -> Self {
        self.client = Some(client);
        self
    }

    /// Where the time comes from. For tests.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Begins with the tokens that a sign-in has just brought. Where they cannot be kept they are signed out, so that no
    /// session is left behind that nobody knows of.
    pub async fn begin(self, tokens: v1::Tokens) -> Result<Session, SessionError> {
        let stored = Stored::of(tokens, self.clock.now());
        let session = self.with(stored.clone());
        match session.0.save(stored).await {
            Ok(()) => Ok(session),
            Err(error) => {
                session.0.give_back().await;
                Err(error)
            }
        }
    }

    /// Goes on with what is in the store, if there is anything.
    pub async fn resume(self) -> Result<Resumed, SessionError> {
        let store = Arc::clone(&self.store);
        Ok(match refresh::blocking(move || store.load()).await? {
            Some(stored) => Resumed::Session(self.with(stored)),
            None => Resumed::Nothing(self),
        })
    }

    fn with(self, stored: Stored) -> Session {
        let alive_until = alive_until(&stored, &self.clock);
        Session(Arc::new(Shared {
            connection: self.connection,
            store: self.store,
            ahead: clock::span(self.ahead),
            least: clock::span(self.least),
            patience: self.patience,
            client: self.client,
            clock: self.clock,
            state: Mutex::new(State {
                stored,
                alive_until,
                unsaved: false,
                ended: None,
                flight: None,
                quiet_until: i64::MIN,
            }),
            turn: tokio::sync::Mutex::default(),
        }))
    }
}

impl Stored {
    /// Tokens that were asked for at a moment. Only spans are taken from the service: its clock may differ.
    fn of(tokens: v1::Tokens, asked_at: DateTime<Utc>) -> Self {
        Self {
            access_token: tokens.access_token,
            asked_at,
            access_expires_at: asked_at + TimeDelta::try_seconds(tokens.expires_in).unwrap_or_default(),
            refresh_token: tokens.refresh_token,
            pending: None,
        }
    }
}

fn alive_until(stored: &Stored, clock: &Clock) -> i64 {
    clock.steady().saturating_add(clock::micros(stored.access_expires_at - clock.now()))
}

impl State {
    fn check(&self) -> Result<(), SessionEnded> {
        self.ended.map_or(Ok(()), Err)
    }

    /// By whichever clock leaves less.
    fn life_left(&self, clock: &Clock) -> TimeDelta {
        let by_steady = TimeDelta::microseconds(self.alive_until.saturating_sub(clock.steady()));
        by_steady.min(self.stored.access_expires_at - clock.now())
    }

    fn token(&self) -> AccessToken {
        AccessToken { token: self.stored.access_token.clone(), expires_at: self.stored.access_expires_at }
    }
}

impl AccessToken {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// When it expires, by this machine's clock.
    #[must_use]
    pub const fn expires_at(&self) -> DateTime<Utc> {
        self.expires_at
    }
}

/// Without the token.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.lock();
        f.debug_struct("Session").field("stored", &state.stored).field("ended", &state.ended).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBuilder").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl SessionEnded {
    /// What an answer of the service to an exchange means for the session. Nothing but these three ends it.
    fn told_by(status: &Status) -> Option<Self> {
        match crate::status::reason(status).filter(|_| status.code() == Code::Unauthenticated)? {
            ErrorReason::RefreshTokenInvalid => Some(Self::TokenInvalid),
            ErrorReason::RefreshTokenReused => Some(Self::TokenReused),
            ErrorReason::SessionEnded => Some(Self::Ended),
            _ => None,
        }
    }

    const fn reason(self) -> ErrorReason {
        match self {
            Self::TokenInvalid => ErrorReason::RefreshTokenInvalid,
            Self::TokenReused => ErrorReason::RefreshTokenReused,
            Self::Ended | Self::SignedOut => ErrorReason::SessionEnded,
        }
    }
}

/// For calls that fail because there is no token to send with them.
impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Ended(ended) => {
                let reason = ended.reason().as_str_name();
                let details = ErrorDetails::with_error_info(reason, DOMAIN, std::collections::HashMap::new());
                Self::with_error_details(Code::Unauthenticated, ended.to_string(), details)
            }
            SessionError::Unavailable(status) | SessionError::Refused(status) => status,
            SessionError::Store(error) => Self::internal(error.to_string()),
        }
    }
}
