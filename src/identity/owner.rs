//! What people do to their own accounts with a proof.

use tracing::debug;

use crate::clock::Clock;
use crate::credential::{CodeError, Codes};
use crate::model::{Account, AccountId, Cause, ChallengeId, Content, Identifier, Network, Purpose};
use crate::notify::Notifier;
use crate::root_key::MacKey;
use crate::store::{IdentifierChange, Store, StoreError};

/// The owners of accounts.
#[derive(Clone, Debug)]
pub struct Owners {
    /// Where accounts are kept.
    pub store: Store,
    /// What proves that a number or an address is theirs.
    pub codes: Codes,
    /// What tells them of changes.
    pub notifier: Notifier,
    /// Digests intents.
    pub intents: MacKey,
    /// The time.
    pub clock: Clock,
}

/// Why an owner's wish was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// There is no such account, or it may not be used.
    #[error("there is no such account")]
    NotFound,
    /// Another account has proved to own the identifier.
    #[error("another account has this identifier")]
    IdentifierTaken,
    /// The code proves nothing.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Owners {
    /// Makes the phone number or mail address that a code was sent to the owner's own. The same owner with the same code
    /// is answered again for as long as the code counts; but it changes what it changes once, so that nobody can bring an
    /// identifier back that the owner has replaced since.
    pub async fn change_identifier(
        &self,
        owner: AccountId,
        challenge: ChallengeId,
        code: &str,
        network: Network,
        cause: &Cause,
    ) -> Result<Account, OwnerError> {
        let user = self.user(b"change-identifier", owner, challenge, code);
        let proof = self.codes.redeem(challenge, code, Purpose::ChangeIdentifier, &user, network).await?;
        if self.codes.was_carried_out(challenge).await.map_err(CodeError::from)? {
            return self.store.account(owner).await?.ok_or(OwnerError::NotFound);
        }
        let (this, cause) = (self.clone(), cause.clone());
        // To its end, even when the caller goes away in the middle: whoever has the old one must be told.
        let change = async move {
            let new = proof.identifier;
            let change = this.store.change_identifier(owner, &new, &cause).await?;
            if let IdentifierChange::Changed { before, .. } = &change {
                this.codes.carried_out(challenge).await;
                this.tell_of_change(before, &new, &cause);
            }
            Ok::<_, StoreError>(change)
        };
        match tokio::spawn(change).await.unwrap_or(Err(StoreError::Leaving))? {
            IdentifierChange::Changed { after: account, .. } | IdentifierChange::Same(account) => Ok(*account),
            IdentifierChange::Taken => Err(OwnerError::IdentifierTaken),
            IdentifierChange::NotFound => Err(OwnerError::NotFound),
        }
    }

    /// Tells whoever has the old number or address; where there was none of that kind, the owner by the other.
    fn tell_of_change(&self, before: &Account, new: &Identifier, cause: &Cause) {
        let phone = before.phone.clone().map(Identifier::Phone);
        let email = before.email.clone().map(Identifier::Email);
        let old = match new {
            Identifier::Phone(_) => phone.or(email),
            Identifier::Email(_) => email.or(phone),
        };
        match old {
            Some(old) => {
                let content = Content::IdentifierChanged { at: cause.at, new_masked: new.masked() };
                self.notifier.tell(old, &before.locale, content, cause.at);
            }
            None => debug!("nobody is told of a changed identifier: there was none before"),
        }
    }

    /// Tells one use of a code from another, and knows a repetition of the same.
    fn user(&self, what: &[u8], owner: AccountId, challenge: ChallengeId, code: &str) -> [u8; 32] {
        self.intents.mac(&[what, owner.0.as_bytes(), challenge.0.as_bytes(), code.as_bytes()])
    }
}
