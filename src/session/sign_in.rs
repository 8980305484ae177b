//! Getting a session: by a code, with or without an account so far. What proves a person is checked first; `admit` is the
//! step that all ways in have in common.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Sessions, SignInError, SignedIn, Visitor};
use crate::credential::{CodeError, NewPassword, Proof, StoredHash, Unfit};
use crate::model::{AccountId, Actor, ChallengeId, Channel, EmailAddress, Identifier, Phone, Purpose, SessionId};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{Grant, Intent, NewAccount, NewSession, OpenSession, Opened, Proved, StoreError};

/// Somebody whose proof has been checked.
#[derive(Clone, Debug)]
pub struct Admission<'a> {
    /// Who, and by what.
    pub proved: Proved<'a>,
    /// How, as RFC 8176 names it, with spaces between.
    pub amr: &'a str,
    /// The account that an owner without one gets; none where nobody may sign up.
    pub new_account: Option<NewAccount>,
    /// What makes a repetition recognisable.
    pub intent: Option<Intent>,
}

/// What is known of a person who signs up.
#[derive(Clone, Debug, Default)]
pub struct Registration {
    /// What they want to sign in with from now on.
    pub password: Option<Secret<String>>,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// The language of messages, or empty.
    pub locale: String,
    /// What services keep with the account.
    pub metadata: Map<String, Value>,
    /// A phone number that they did not prove.
    pub phone: Option<Phone>,
    /// A mail address that they did not prove.
    pub email: Option<EmailAddress>,
}

impl Registration {
    /// Whether what was not proved is of the same kind as what is.
    const fn repeats(&self, proved: &Identifier) -> bool {
        match proved {
            Identifier::Phone(_) => self.phone.is_some(),
            Identifier::Email(_) => self.email.is_some(),
        }
    }

    /// The account that it makes.
    #[must_use]
    pub fn account(self, id: AccountId, password_hash: Option<Secret<String>>) -> NewAccount {
        NewAccount {
            id,
            first_name: self.first_name,
            last_name: self.last_name,
            locale: self.locale,
            metadata: self.metadata,
            password_hash,
            claimed_phone: self.phone,
            claimed_email: self.email,
        }
    }
}

/// What came of a code.
enum Redeemed {
    /// It proves this.
    Now(Proof),
    /// It opened this session in an earlier try of the same intent, whose answer was lost.
    Before(Opened),
}

/// How somebody proved themself who got a code through this channel.
#[must_use]
pub(super) const fn amr_of(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "otp sms",
        Channel::Email => "otp",
    }
}

impl Sessions {
    /// Exchanges a code for a session. The same intent with the same code gets the same session, however often it asks.
    pub async fn sign_in_with_code(
        &self,
        challenge: ChallengeId,
        code: &str,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, SignInError> {
        let intent = self.code_intent(b"login", challenge, code, visitor);
        let signed_in = match self.redeem(challenge, code, Purpose::SignIn, intent, visitor).await? {
            Redeemed::Now(proof) => {
                let id = AccountId(Random.id(self.clock.now()));
                let admission = Admission {
                    proved: Proved::Owner { identifier: &proof.identifier, must_be_new: false },
                    amr: amr_of(proof.channel),
                    new_account: self.open_registration.then(|| NewAccount::bare(id)),
                    intent,
                };
                self.admit(admission, visitor).await?
            }
            Redeemed::Before(opened) => self.signed_in(opened, visitor)?,
        };
        self.forget(challenge).await;
        Ok(signed_in)
    }

    /// Opens an account for whoever has the code, and a session. The same intent with the same code gets the same session.
    pub async fn register(
        &self,
        challenge: ChallengeId,
        code: &str,
        registration: Registration,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, SignInError> {
        if !self.open_registration {
            return Err(SignInError::RegistrationClosed);
        }
        // Judged while the code still counts, so that a better password can be sent with it.
        let identifier = self.codes.sent_to(challenge, Purpose::Register).await.map_err(SignInError::Code)?;
        if let Some(identifier) = identifier.as_ref().filter(|identifier| registration.repeats(identifier)) {
            return Err(SignInError::SameKind { field: identifier.kind() });
        }
        let password = self.judge(&registration, identifier.as_ref())?;
        self.guard.admit_registration(visitor.client.ip.into()).await?;
        let intent = self.code_intent(b"register", challenge, code, visitor);
        let signed_in = match self.redeem(challenge, code, Purpose::Register, intent, visitor).await? {
            Redeemed::Now(proof) => {
                let hash = match password {
                    Some(password) => Some(self.hash_or_give_back(password, challenge).await?),
                    None => None,
                };
                let hash = hash.map(|hash| Secret::new(hash.as_str().to_owned()));
                let admission = Admission {
                    proved: Proved::Owner { identifier: &proof.identifier, must_be_new: true },
                    amr: amr_of(proof.channel),
                    new_account: Some(registration.account(AccountId(Random.id(self.clock.now())), hash)),
                    intent,
                };
                self.admit(admission, visitor).await?
            }
            Redeemed::Before(opened) => self.signed_in(opened, visitor)?,
        };
        self.forget(challenge).await;
        Ok(signed_in)
    }

    /// Gives somebody a session whose proof has been checked, and the account too where that is asked for. A password that
    /// was changed since then proves nothing.
    pub async fn admit(&self, admission: Admission<'_>, visitor: Visitor<'_>) -> Result<SignedIn, SignInError> {
        let opened = self.open(admission, visitor).await?;
        self.signed_in(opened, visitor)
    }

    /// Judges the password that somebody wants for a new account.
    pub fn judge(
        &self,
        registration: &Registration,
        identifier: Option<&Identifier>,
    ) -> Result<Option<NewPassword>, Unfit> {
        let Some(password) = &registration.password else { return Ok(None) };
        let Registration { first_name, last_name, phone, email, .. } = registration;
        let known = [
            identifier.map(Identifier::as_str),
            Some(first_name.as_str()),
            Some(last_name.as_str()),
            phone.as_ref().map(Phone::as_str),
            email.as_ref().map(EmailAddress::as_str),
        ];
        let words: Vec<_> = known.into_iter().flatten().collect();
        self.passwords.check(password, &words).map(Some)
    }

    pub(super) async fn open(&self, admission: Admission<'_>, visitor: Visitor<'_>) -> Result<Opened, StoreError> {
        let cause = self.cause(Actor::Owner, visitor.client);
        let Admission { proved, amr, new_account, intent } = admission;
        let session = self.new_session(cause.at, visitor, amr);
        let new = OpenSession { proved, new_account, upgrade: visitor.anonymous, session, intent, cause: &cause };
        self.store.open_session(new).await
    }

    pub(super) fn signed_in(&self, opened: Opened, visitor: Visitor<'_>) -> Result<SignedIn, SignInError> {
        match opened {
            Opened::Session { account, session, created, revoked } => {
                self.revocations.apply(&revoked);
                let upgraded_from = session.upgraded_from;
                if let Some(upgrade) = visitor.anonymous.filter(|upgrade| Some(upgrade.visitor) == upgraded_from) {
                    // An earlier try of the same intent may have been cut off before this node heard of it.
                    self.revocations.apply(&upgrade.revocations(session.created_at));
                }
                let grant = Grant::of(*session, &account);
                Ok(SignedIn { tokens: self.pair(&grant)?, account: *account, created, upgraded_from })
            }
            Opened::Unknown | Opened::Outdated => Err(SignInError::Refused),
            Opened::AlreadyRegistered => Err(SignInError::AlreadyRegistered),
            Opened::Blocked => Err(SignInError::Blocked),
            Opened::IntentReused => Err(SignInError::IntentReused),
        }
    }

    fn code_intent(&self, what: &[u8], challenge: ChallengeId, code: &str, visitor: Visitor<'_>) -> Option<Intent> {
        let request_id = visitor.request_id?;
        let digest = self.intents.mac(&[what, challenge.0.as_bytes(), code.as_bytes()]);
        Some(Intent { request_id, digest })
    }

    /// Uses a code up, or finds what it was used up for by this very intent.
    async fn redeem(
        &self,
        challenge: ChallengeId,
        code: &str,
        purpose: Purpose,
        intent: Option<Intent>,
        visitor: Visitor<'_>,
    ) -> Result<Redeemed, SignInError> {
        // Without a name of its own, each try is another one's.
        let user = match intent {
            Some(intent) => self.intents.mac(&[b"login-by", intent.request_id.0.as_bytes(), &intent.digest]),
            None => Random.bytes(),
        };
        match self.codes.redeem(challenge, code, purpose, &user, visitor.client.ip.into()).await {
            Ok(proof) => Ok(Redeemed::Now(proof)),
            // A code that was used up may have been used by this very intent, whose answer was lost.
            Err(CodeError::Wrong) => {
                let Some(intent) = intent else { return Err(SignInError::Refused) };
                let redeemed = self.codes.was_redeemed_by(challenge, &user).await;
                if !redeemed.map_err(|error| SignInError::Code(error.into()))? {
                    return Err(SignInError::Refused);
                }
                let now = self.clock.now();
                let opened = self.store.opened_before(intent, now, now + self.access.lifetime()).await?;
                opened.map(Redeemed::Before).ok_or(SignInError::Refused)
            }
            Err(error) => Err(SignInError::Code(error)),
        }
    }

    /// Hashes a password for whoever has just used a code up. If that cannot be done now, the code counts again.
    pub(super) async fn hash_or_give_back(
        &self,
        password: NewPassword,
        challenge: ChallengeId,
    ) -> Result<StoredHash, SignInError> {
        match self.passwords.hash(password).await {
            Ok(hash) => Ok(hash),
            Err(error) => {
                self.codes.give_back(challenge).await;
                Err(error.into())
            }
        }
    }

    pub(super) async fn forget(&self, challenge: ChallengeId) {
        if let Err(error) = self.codes.discard(challenge).await {
            tracing::debug!(%error, "a used challenge stays in the cache until it expires");
        }
    }

    fn new_session(&self, now: DateTime<Utc>, visitor: Visitor<'_>, amr: &str) -> NewSession {
        let client = visitor.client;
        let absolute_expires_at = now + self.settings.absolute_lifetime;
        NewSession {
            id: SessionId(Random.id(now)),
            client_id: visitor.client_id.to_owned(),
            amr: amr.to_owned(),
            device_id: client.device_id.clone(),
            device_name: client.device_name.clone(),
            user_agent: client.user_agent.clone(),
            expires_at: (now + self.settings.idle_lifetime).min(absolute_expires_at),
            absolute_expires_at,
            access_expires_at: (now + self.access.lifetime()).min(absolute_expires_at),
        }
    }
}
