//! Signing in with a password. Whether there is such a person, and whether they have a password, shows neither in the answer
//! nor in the time that it takes.

use std::time::Duration;

use super::{Admission, Sessions, SignInError, SignedIn, Visitor};
use crate::credential::{PasswordError, StoredHash, Verdict};
use crate::guard::{Factor, GuardError};
use crate::model::{Account, ClientContext, Identifier};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{Intent, Opened, Proved};

/// How somebody proved themself who knew their password.
const AMR: &str = "pwd";
/// How often a password is held against the account's hash, while that is replaced by others at the same time.
pub(super) const TRIES: usize = 3;
/// Within how many microseconds a refusal leaves, at random. To read somebody's row takes a little longer than to find none,
/// and a hash takes so evenly long that this would show.
const BLUR: u32 = 32_768;

/// What is known of a password that was sent.
pub(super) enum Known {
    /// It is the account's.
    Right {
        /// The stored hash that says so.
        hash: Secret<String>,
        /// Whether that should be made anew.
        upgrade: bool,
    },
    /// It is not, or there is none.
    Wrong,
}

impl Sessions {
    /// Exchanges a password for a session. The same intent of the same person gets the same session, however often it
    /// asks with the right password.
    pub async fn sign_in_with_password(
        &self,
        identifier: &Identifier,
        password: &Secret<String>,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, SignInError> {
        let work = self.enter(identifier, password, visitor);
        let is_failure = |error: &SignInError| matches!(error, SignInError::Refused);
        let outcome = self.counted(identifier, visitor.client, work, is_failure).await;
        if outcome.as_ref().is_err_and(is_failure) {
            tokio::time::sleep(Duration::from_micros(Random.below(BLUR).into())).await;
        }
        outcome
    }

    /// Whether somebody who is signed in knows their password. What is wrong counts as it does when signing in.
    pub async fn confirm_password(
        &self,
        account: &Account,
        password: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), SignInError> {
        let identifier = identifier_of(account).ok_or(SignInError::Refused)?;
        let work = async {
            match self.verify(Some(account), password).await? {
                Known::Right { .. } => Ok(()),
                Known::Wrong => Err(SignInError::Refused),
            }
        };
        self.counted(&identifier, client, work, |error| matches!(error, SignInError::Refused)).await
    }

    /// Does something that tells whether a password is right, if there were not too many that were wrong. It counts as one
    /// of those from the beginning, until it comes to an end that is no failure.
    pub(super) async fn counted<T, E: From<GuardError>>(
        &self,
        identifier: &Identifier,
        client: &ClientContext,
        work: impl Future<Output = Result<T, E>>,
        is_failure: impl Fn(&E) -> bool,
    ) -> Result<T, E> {
        let attempt = self.guard.admit_attempt(Factor::Password, identifier, client.ip.into()).await?;
        let unheard = attempt.unheard();
        let outcome = work.await;
        unheard.heard();
        match &outcome {
            Ok(_) => attempt.succeeded().await,
            Err(error) if is_failure(error) => {}
            Err(_) => attempt.withdrawn().await,
        }
        outcome
    }

    async fn enter(
        &self,
        identifier: &Identifier,
        password: &Secret<String>,
        visitor: Visitor<'_>,
    ) -> Result<SignedIn, SignInError> {
        for _ in 0..TRIES {
            let account = self.store.account_for_password(identifier).await?;
            let known = self.verify(account.as_ref(), password).await?;
            let (Some(account), Known::Right { hash, upgrade }) = (account, known) else {
                return Err(SignInError::Refused);
            };
            // Nothing of the password goes into the digest: it is kept in the database, and would be guessed at much
            // faster than the password's hash. The password was right, which is more than that it is the same.
            let intent = visitor.request_id.map(|request_id| Intent {
                request_id,
                digest: self.intents.mac(&[b"password", identifier.as_str().as_bytes(), account.id.0.as_bytes()]),
            });
            let proved = Proved::Password { account: account.id, hash: &hash };
            let admission = Admission { proved, amr: AMR, new_account: None, intent };
            let opened = self.open(admission, visitor).await?;
            if matches!(opened, Opened::Outdated) {
                continue;
            }
            let signed_in = self.signed_in(opened, visitor)?;
            if upgrade {
                self.upgrade(&account, &hash, password).await;
            }
            return Ok(signed_in);
        }
        Err(SignInError::Refused)
    }

    /// Whether this is the password of this account. For nobody, and for somebody without one, it takes as long.
    pub(super) async fn verify(
        &self,
        account: Option<&Account>,
        password: &Secret<String>,
    ) -> Result<Known, PasswordError> {
        let text = account.and_then(|account| account.password_hash.as_ref());
        let stored = text.and_then(|text| match StoredHash::parse(text.expose()) {
            Ok(stored) => Some(stored),
            Err(error) => {
                tracing::warn!(%error, account = ?account.map(|account| account.id), "a stored password is of no use");
                None
            }
        });
        match (self.passwords.verify(stored, password).await?, text) {
            (Verdict::Right { upgrade }, Some(text)) => Ok(Known::Right { hash: text.clone(), upgrade }),
            (Verdict::Right { .. } | Verdict::Wrong, _) => Ok(Known::Wrong),
        }
    }

    /// Replaces a hash that is not made as ours are. If that cannot be done now, the next sign-in will.
    async fn upgrade(&self, account: &Account, old: &Secret<String>, password: &Secret<String>) {
        let outcome = match self.passwords.rehash(password).await {
            Ok(new) => {
                self.store.upgrade_password(account.id, old, new.as_str()).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, account = %account.id, "a password's hash stays as it was");
        }
    }
}

/// Under which identifier the tries of an account's password are counted.
pub(super) fn identifier_of(account: &Account) -> Option<Identifier> {
    let phones = [&account.phone, &account.claimed_phone].map(|phone| phone.clone().map(Identifier::Phone));
    let mails = [&account.email, &account.claimed_email].map(|email| email.clone().map(Identifier::Email));
    let [phone, claimed_phone] = phones;
    let [email, claimed_email] = mails;
    phone.or(email).or(claimed_phone).or(claimed_email)
}
