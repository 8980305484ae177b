//! Leaving for good: somebody deletes their own account, with proof that it is themself who asks. A session alone is none:
//! it may be a device that somebody else has found.

use super::Sessions;
use super::password::{Known, identifier_of};
use crate::credential::{CodeError, PasswordError};
use crate::guard::GuardError;
use crate::identity::{AccountError, Accounts};
use crate::model::{Account, AccountId, AccountState, Cause, ChallengeId, ClientContext, Content, Identifier, Purpose};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::StoreError;

/// People who leave.
#[derive(Clone, Debug)]
pub struct Departures {
    /// What knows their proofs.
    pub sessions: Sessions,
    /// What is left.
    pub accounts: Accounts,
}

/// What shows that it is themself.
#[derive(Clone, Debug)]
pub enum Farewell {
    /// Their password.
    Password(Secret<String>),
    /// A code that was sent to their own number or address for this.
    Code {
        /// Which.
        challenge: ChallengeId,
        /// Its digits.
        code: Secret<String>,
    },
}

/// Why an account was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DepartureError {
    /// The proof does not hold.
    #[error("the proof does not hold")]
    Refused,
    /// The code could not be judged.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The password could not be judged.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There were too many failures, or they could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// There is no account to delete.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Departures {
    /// Deletes somebody's account, ends their sessions, and tells them.
    pub async fn leave(
        &self,
        owner: AccountId,
        proof: &Farewell,
        client: &ClientContext,
        cause: &Cause,
    ) -> Result<(), DepartureError> {
        let account = self.accounts.profile(owner).await?;
        if account.state_at(cause.at) != AccountState::Active {
            return Err(AccountError::NotFound.into());
        }
        match proof {
            Farewell::Password(password) => self.check_password(&account, password, client).await?,
            Farewell::Code { challenge, code } => self.check_code(&account, *challenge, code, client).await?,
        }
        let (this, cause) = (self.clone(), cause.clone());
        // To its end, even when the caller goes away in the middle.
        let work = async move {
            this.accounts.delete(owner, &cause).await?;
            let (phone, email) = (account.phone.map(Identifier::Phone), account.email.map(Identifier::Email));
            if let Some(to) = phone.or(email) {
                this.sessions.notifier.tell(to, &account.locale, Content::AccountDeleted { at: cause.at }, cause.at);
            }
            Ok(())
        };
        tokio::spawn(work).await.unwrap_or(Err(StoreError::Leaving.into()))
    }

    async fn check_password(
        &self,
        account: &Account,
        password: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), DepartureError> {
        let identifier = identifier_of(account).ok_or(DepartureError::Refused)?;
        let work = Box::pin(async {
            match self.sessions.verify(Some(account), password).await? {
                Known::Right { .. } => Ok(()),
                Known::Wrong => Err(DepartureError::Refused),
            }
        });
        self.sessions.counted(&identifier, client, work, |error| matches!(error, DepartureError::Refused)).await
    }

    /// A code that was sent to somebody else is not even used up: it is nothing to this account.
    async fn check_code(
        &self,
        account: &Account,
        challenge: ChallengeId,
        code: &Secret<String>,
        client: &ClientContext,
    ) -> Result<(), DepartureError> {
        let codes = &self.sessions.codes;
        let sent_to = codes.sent_to(challenge, Purpose::DeleteAccount).await?;
        if !sent_to.is_some_and(|identifier| account.owns(&identifier)) {
            return Err(DepartureError::Refused);
        }
        let user = Random.bytes();
        codes.redeem(challenge, code.expose(), Purpose::DeleteAccount, &user, client.ip.into()).await?;
        Ok(())
    }
}
