//! Who sent a request, as far as a verified access token tells. Owns typed answers to what services ask of it.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use countersign_token::{AccessClaims, AccountId, Known, SessionId, TokenId};
use serde_json::{Map, Value};

/// Whoever an access token that counts is about. Clones are cheap.
///
/// It is as the token says, which is as it was when the token was issued: a role that was taken away a minute ago is told
/// for as long as the token lives.
#[derive(Clone)]
pub struct Identity(Arc<Known<()>>);

/// Without what is known of the person.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("account_id", &self.account_id())
            .field("session_id", &self.session_id())
            .field("is_anonymous", &self.is_anonymous())
            .finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) const fn new(known: Arc<Known<()>>) -> Self {
        Self(known)
    }

    fn claims_read(&self) -> &AccessClaims {
        &self.0.claims
    }

    /// The account, or the visitor where [`Self::is_anonymous`].
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        self.claims_read().sub
    }

    /// The session; visitors have none.
    #[must_use]
    pub fn session_id(&self) -> Option<SessionId> {
        self.claims_read().sid
    }

    /// The token itself.
    #[must_use]
    pub fn token_id(&self) -> TokenId {
        self.claims_read().jti
    }

    /// Whether this is a visitor without an account.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.claims_read().anon
    }

    /// What the token allows.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims_read().scope.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the token allows this.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// What the person may do, as services understand it. Visitors have no roles, whatever their token says.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        if self.is_anonymous() { &[] } else { &self.claims_read().roles }
    }

    /// Whether the person has this role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles().iter().any(|own| own == role)
    }

    /// How the person proved themself (RFC 8176).
    #[must_use]
    pub fn amr(&self) -> &[String] {
        &self.claims_read().amr
    }

    /// When they did.
    #[must_use]
    pub fn authenticated_at(&self) -> Option<DateTime<Utc>> {
        self.claims_read().auth_time.and_then(at)
    }

    /// The application that the token was issued to.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.claims_read().client_id
    }

    /// The device, as the app names it.
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        self.claims_read().device_id.as_deref()
    }

    /// A name for people to read, where tokens carry one.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.claims_read().username.as_deref()
    }

    /// Whom the token is meant for.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.claims_read().aud
    }

    /// When the token was issued.
    #[must_use]
    pub fn issued_at(&self) -> DateTime<Utc> {
        self.0.issued_at
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> DateTime<Utc> {
        at(self.claims_read().exp).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// A custom claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.claims().get(name)
    }

    /// All custom claims.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims_read().extra
    }
}

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}
