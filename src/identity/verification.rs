//! Having it confirmed who somebody is. Owns what a provider's answer means for an account.

use crate::connect::{Finding, IdentityProvider, ProviderError};
use crate::guard::{Guard, GuardError};
use crate::model::{Account, AccountId, AccountState, BirthDate, Cause, NationalId};
use crate::root_key::MacKey;
use crate::store::{Confirmation, Store, StoreError};

/// Confirmations of who people are.
#[derive(Clone, Debug)]
pub struct Verifications {
    /// Where they are kept.
    pub store: Store,
    /// Who is asked.
    pub provider: IdentityProvider,
    /// What bounds how often.
    pub guard: Guard,
    /// Hashes national ids.
    pub mac: MacKey,
}

/// Why nothing was confirmed.
#[derive(Debug, thiserror::Error)]
pub enum VerificationError {
    /// There is no such account, or it may not be used.
    #[error("there is no such account")]
    NotFound,
    /// The account has no phone number that its owner has proved.
    #[error("the account has no phone number")]
    PhoneMissing,
    /// What was stated does not belong together, or not to somebody alive.
    #[error("what was stated does not belong together")]
    Mismatch,
    /// Another account has been confirmed to belong to this person.
    #[error("another account belongs to this person")]
    Taken,
    /// The account was asked about too often, or that could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The provider gives no answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Verifications {
    /// Asks the provider whether the account's phone number belongs to this national id and keeps what it tells. An answer
    /// may have been paid for, so that it is kept even when the caller goes away in the middle.
    pub async fn verify(
        &self,
        owner: AccountId,
        national_id: NationalId,
        birth_date: Option<BirthDate>,
        cause: &Cause,
    ) -> Result<Account, VerificationError> {
        let (this, cause) = (self.clone(), cause.clone());
        let work = async move { this.ask_and_keep(owner, &national_id, birth_date.as_ref(), &cause).await };
        tokio::spawn(work).await.unwrap_or(Err(StoreError::Leaving.into()))
    }

    async fn ask_and_keep(
        &self,
        owner: AccountId,
        national_id: &NationalId,
        birth_date: Option<&BirthDate>,
        cause: &Cause,
    ) -> Result<Account, VerificationError> {
        let account = self.store.account(owner).await?;
        let account = account.filter(|account| account.state_at(cause.at) == AccountState::Active);
        let phone = account.ok_or(VerificationError::NotFound)?.phone.ok_or(VerificationError::PhoneMissing)?;
        if !self.provider.is_configured() {
            return Err(ProviderError::NotConfigured.into());
        }
        self.guard.admit_verification(owner).await?;
        let identity = match self.provider.verify(Some(&phone), national_id, birth_date).await? {
            // Whoever has died does not sign up: somebody else holds their number and papers.
            Finding::Matched(identity) if identity.alive == Some(false) => return Err(VerificationError::Mismatch),
            Finding::Matched(identity) => identity,
            Finding::NotMatched => return Err(VerificationError::Mismatch),
        };
        let hash = self.mac.mac(&[national_id.expose().as_bytes()]);
        match self.store.confirm_identity(owner, &phone, &hash, &identity, cause).await? {
            Confirmation::Kept(account) => Ok(*account),
            Confirmation::Taken => Err(VerificationError::Taken),
            // The number that matched is not the account's any more.
            Confirmation::Outdated => Err(VerificationError::Mismatch),
        }
    }
}
