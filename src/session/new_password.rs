//! Another password in place of one: by whoever knows the old one, or can prove in another way who they are. Every session
//! that the old one may have opened has stopped to count before anybody is told that the password is another.

use super::Sessions;
use super::password::{Known, TRIES, identifier_of};
use crate::cache::CacheError;
use crate::credential::{CodeError, NewPassword, PasswordError, StoredHash, Unfit};
use crate::guard::GuardError;
use crate::model::{
    Account, AccountId, AccountState, Actor, Cause, ChallengeId, Channel, ClientContext, Content, EmailAddress,
    Identifier, Message, Phone, Purpose, SessionId,
};
use crate::notify::Notifier;
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{PasswordSet, SetPassword, StoreError, to_its_end};

/// What lets somebody set a new password who does not know the old one.
#[derive(Clone, Debug)]
pub enum ResetBy {
    /// What a link carried.
    Token(Secret<String>),
    /// A code.
    Code {
        /// Which.
        challenge: ChallengeId,
        /// Its digits.
        code: Secret<String>,
    },
}

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum SetPasswordError {
    /// The proof does not hold, or nobody is known by it: these look the same.
    #[error("the proof does not hold")]
    Refused,
    /// The account is blocked.
    #[error("the account is blocked")]
    Blocked,
    /// The new one may not be one.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The code could not be judged.
    #[error(transparent)]
    Code(CodeError),
    /// The old one could not be judged, or the new one not be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There were too many failures, or they could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The cache gives no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CodeError> for SetPasswordError {
    fn from(error: CodeError) -> Self {
        match error {
            CodeError::Wrong => Self::Refused,
            error => Self::Code(error),
        }
    }
}

impl Sessions {
    /// Replaces the password of somebody who knows it, and ends their sessions but one, if one is to be kept.
    pub async fn change_password(
        &self,
        owner: AccountId,
        current: &Secret<String>,
        new: &Secret<String>,
        keep: Option<SessionId>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        let account = self.store.account(owner).await?.ok_or(SetPasswordError::Refused)?;
        let identifier = identifier_of(&account).ok_or(SetPasswordError::Refused)?;
        // On the heap: what goes on in there would make every future above it as large.
        let work = Box::pin(self.replace(owner, current, new, keep, client));
        self.counted(&identifier, client, work, |error| matches!(error, SetPasswordError::Refused)).await
    }

    async fn replace(
        &self,
        owner: AccountId,
        current: &Secret<String>,
        new: &Secret<String>,
        keep: Option<SessionId>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        let mut hash = None;
        for _ in 0..TRIES {
            let account = self.store.account(owner).await?.ok_or(SetPasswordError::Refused)?;
            let fit = self.passwords.check(new, &words(&account))?;
            let Known::Right { .. } = self.verify(Some(&account), current).await? else {
                return Err(SetPasswordError::Refused);
            };
            let hash = match &hash {
                Some(hash) => hash,
                None => hash.insert(self.passwords.hash(fit).await?),
            };
            if self.set_password(&account, hash, keep, Actor::Account(owner), client).await? {
                return Ok(());
            }
        }
        Err(SetPasswordError::Refused)
    }

    /// Sets the password of somebody who has another proof, and ends all their sessions. The proof serves once; where the
    /// new password may not be one, or cannot be set now, it still counts.
    pub async fn reset_password(
        &self,
        by: &ResetBy,
        new: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        match by {
            ResetBy::Token(token) => self.reset_by_token(token, new, client).await,
            ResetBy::Code { challenge, code } => self.reset_by_code(*challenge, code.expose(), new, client).await,
        }
    }

    async fn reset_by_token(
        &self,
        token: &Secret<String>,
        new: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        let reset = self.resets.look_up(token).await?.ok_or(SetPasswordError::Refused)?;
        let account = self.store.account(reset.account).await?.ok_or(SetPasswordError::Refused)?;
        let fit = self.passwords.check(new, &words(&account))?;
        let reset = self.resets.redeem(token).await?.ok_or(SetPasswordError::Refused)?;
        if !self.resets.holds(&reset, &account) {
            return Err(SetPasswordError::Refused);
        }
        let outcome = self.hash_and_set(&account, fit, client).await;
        if let Err(SetPasswordError::Password(_) | SetPasswordError::Store(_)) = &outcome {
            self.resets.give_back(token, &reset).await;
        }
        if outcome? { Ok(()) } else { Err(SetPasswordError::Refused) }
    }

    async fn reset_by_code(
        &self,
        challenge: ChallengeId,
        code: &str,
        new: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        // Judged by what whoever asked for the code knows; what the account says of its owner must not show before the proof.
        let sent_to = self.codes.sent_to(challenge, Purpose::ResetPassword).await?;
        let fit = self.passwords.check(new, sent_to.as_ref().map(Identifier::as_str).as_slice())?;
        let proof =
            self.codes.redeem(challenge, code, Purpose::ResetPassword, &Random.bytes(), client.ip.into()).await?;
        let outcome = self.reset_of(&proof.identifier, fit, new, client).await;
        match &outcome {
            Ok(()) => self.forget(challenge).await,
            Err(SetPasswordError::Unfit(_) | SetPasswordError::Password(_) | SetPasswordError::Store(_)) => {
                self.codes.give_back(challenge).await;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Sets the password of an identifier's owner.
    async fn reset_of(
        &self,
        identifier: &Identifier,
        fit: NewPassword,
        new: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), SetPasswordError> {
        let mut hash = None;
        for _ in 0..TRIES {
            let account = self.store.account_of(identifier).await?.ok_or(SetPasswordError::Refused)?;
            self.passwords.check(new, &words(&account))?;
            let hash = match &hash {
                Some(hash) => hash,
                None => hash.insert(self.passwords.hash(fit.clone()).await?),
            };
            if self.set_password(&account, hash, None, Actor::Account(account.id), client).await? {
                return Ok(());
            }
        }
        Err(SetPasswordError::Refused)
    }

    async fn hash_and_set(
        &self,
        account: &Account,
        fit: NewPassword,
        client: &ClientContext,
    ) -> Result<bool, SetPasswordError> {
        let hash = self.passwords.hash(fit).await?;
        self.set_password(account, &hash, None, Actor::Account(account.id), client).await
    }

    /// Sets the password if it still is what it was, ends the sessions, and tells the owner. Says whether it did.
    async fn set_password(
        &self,
        account: &Account,
        hash: &StoredHash,
        keep: Option<SessionId>,
        actor: Actor,
        client: &ClientContext,
    ) -> Result<bool, SetPasswordError> {
        let cause = self.cause(actor, client);
        if account.state_at(cause.at) != AccountState::Active {
            return Err(SetPasswordError::Blocked);
        }
        let (this, account, hash) = (self.clone(), account.clone(), hash.clone());
        let set = to_its_end(async move {
            let (owner, old) = (account.id, account.password_hash.as_ref());
            let set = SetPassword { account: owner, old, new: hash.as_str(), keep, cause: &cause };
            match this.store.set_password(set).await? {
                PasswordSet::Done(ended) => {
                    this.take_back(&ended, &cause);
                    this.take_back(&this.store.ended_sessions_of(owner, cause.at).await?, &cause);
                    tell(&this.notifier, &account, &cause);
                    Ok(Some(true))
                }
                PasswordSet::Outdated => Ok(Some(false)),
                PasswordSet::Blocked => Ok(None),
            }
        })
        .await?;
        set.ok_or(SetPasswordError::Blocked)
    }
}

/// What anybody may know of a person.
fn words(account: &Account) -> Vec<&str> {
    let phones = [&account.phone, &account.claimed_phone].map(|phone| phone.as_ref().map(Phone::as_str));
    let mails = [&account.email, &account.claimed_email].map(|email| email.as_ref().map(EmailAddress::as_str));
    let names = [account.first_name.as_str(), account.last_name.as_str()];
    phones.into_iter().chain(mails).flatten().chain(names).collect()
}

/// Tells the owner that the password is another, by mail where that is possible, else by text message.
fn tell(notifier: &Notifier, account: &Account, cause: &Cause) {
    let (email, phone) = (account.email.clone().map(Identifier::Email), account.phone.clone().map(Identifier::Phone));
    let Some(to) = [email, phone].into_iter().flatten().find(|to| notifier.offers(Channel::of(to))) else { return };
    match notifier.reserve() {
        Ok(place) => place.send(Message {
            id: Random.id(cause.at),
            channel: Channel::of(&to),
            to,
            locale: account.locale.parse().unwrap_or(notifier.default_locale()),
            content: Content::PasswordChanged { at: cause.at },
        }),
        Err(error) => tracing::warn!(%error, account = %account.id, "nobody was told of a changed password"),
    }
}
