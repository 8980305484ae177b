//! What operators do to accounts: open, change, shut, open again, delete. What was shut has stopped to count on this node
//! before anybody is told so.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{AccountError, Accounts};
use crate::model::{
    Account, AccountId, AccountState, Cause, EmailAddress, LEEWAY_LIMIT, Phone, RequestId, Revocation, Roles,
};
use crate::random::Random;
use crate::secret::Secret;
use crate::store::{AccountChange, Block, CreateAccount, Intent, NewAccount, StoreError, to_its_end};

/// A person for whom an operator opens an account.
#[derive(Clone, Debug, Default)]
pub struct NewPerson {
    /// Their phone number; the operator vouches for it.
    pub phone: Option<Phone>,
    /// Their mail address; the operator vouches for it.
    pub email: Option<EmailAddress>,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// What they may do.
    pub roles: Roles,
    /// The language of messages, or empty.
    pub locale: String,
    /// What services keep with the account.
    pub metadata: Map<String, Value>,
    /// A password.
    pub password: Option<Secret<String>>,
}

impl NewPerson {
    /// What others know of them.
    fn words(&self) -> Vec<&str> {
        let phone = self.phone.as_ref().map(Phone::as_str);
        let email = self.email.as_ref().map(EmailAddress::as_str);
        [phone, email, Some(&self.first_name), Some(&self.last_name)].into_iter().flatten().collect()
    }
}

impl Accounts {
    /// Opens an account. The same intent opens one, however often it asks; afterwards it is answered with that account.
    pub async fn create(
        &self,
        person: NewPerson,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<Account, AccountError> {
        let intent = request_id.map(|request_id| Intent { request_id, digest: self.digest(&person) });
        if let Some(intent) = intent
            && let Some(before) = self.store.created_before(intent).await?
        {
            return Ok(before?);
        }
        let password_hash = match &person.password {
            Some(password) => {
                let fit = self.passwords.check(password, &person.words())?;
                Some(Secret::new(self.passwords.hash(fit).await?.as_str().to_owned()))
            }
            None => None,
        };
        let account = NewAccount {
            first_name: person.first_name,
            last_name: person.last_name,
            locale: person.locale,
            metadata: person.metadata,
            password_hash,
            ..NewAccount::bare(AccountId(Random.id(cause.at)))
        };
        let (phone, email) = (person.phone.as_ref(), person.email.as_ref());
        let new = CreateAccount { account, phone, email, roles: &person.roles, intent, cause };
        Ok(self.store.create_account(new).await??)
    }

    /// Everything that was asked for. It is keyed, so that it tells nothing of the person.
    fn digest(&self, person: &NewPerson) -> [u8; 32] {
        let password = person.password.as_ref().map(|password| password.expose().as_str());
        self.intents.mac(&[
            b"create-account",
            person.phone.as_ref().map_or("", Phone::as_str).as_bytes(),
            person.email.as_ref().map_or("", EmailAddress::as_str).as_bytes(),
            person.first_name.as_bytes(),
            person.last_name.as_bytes(),
            person.roles.to_string().as_bytes(),
            person.locale.as_bytes(),
            Value::Object(person.metadata.clone()).to_string().as_bytes(),
            password.unwrap_or_default().as_bytes(),
        ])
    }

    /// Changes an account.
    pub async fn update(&self, id: AccountId, change: &AccountChange, cause: &Cause) -> Result<Account, AccountError> {
        self.store.change_account(id, change, None, cause).await?.ok_or(AccountError::NotFound)
    }

    /// Shuts an account, for good or until a time: its sessions end, what it was issued stops to count, and nobody signs in
    /// to it. One that is shut already gets the new reason and the new end.
    pub async fn block(
        &self,
        id: AccountId,
        reason: String,
        until: Option<DateTime<Utc>>,
        cause: &Cause,
    ) -> Result<Account, AccountError> {
        let (this, cause) = (self.clone(), cause.clone());
        let account = to_its_end(async move {
            let block = Block { reason: &reason, until, expires_at: this.last_token(cause.at) };
            let Some(shut) = this.store.block_account(id, block, &cause).await? else { return Ok(None) };
            this.revocations.apply(&shut.revoked);
            this.take_back_ended(id, &cause).await?;
            Ok(Some(shut.account))
        })
        .await?;
        account.ok_or(AccountError::NotFound)
    }

    /// Lifts a block. An account that is not blocked stays as it is.
    pub async fn unblock(&self, id: AccountId, cause: &Cause) -> Result<Account, AccountError> {
        if let Some(account) = self.store.unblock_account(id, cause).await? {
            return Ok(account);
        }
        let account = self.store.account(id).await?;
        account.filter(|account| account.state != AccountState::Deleted).ok_or(AccountError::NotFound)
    }

    /// Deletes an account: its sessions end, what it was issued stops to count, and what is known of the person is erased.
    pub async fn delete(&self, id: AccountId, cause: &Cause) -> Result<(), AccountError> {
        let (this, cause) = (self.clone(), cause.clone());
        let deleted = to_its_end(async move {
            let revoked = this.store.delete_account(id, this.last_token(cause.at), &cause).await?;
            this.revocations.apply(revoked.as_deref().unwrap_or_default());
            this.take_back_ended(id, &cause).await?;
            Ok(revoked.is_some())
        })
        .await?;
        if deleted { Ok(()) } else { Err(AccountError::NotFound) }
    }

    /// When no token that was issued by now can be unexpired any more.
    fn last_token(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now + self.keyring.keys().longest_token + LEEWAY_LIMIT
    }

    /// What had been ended before: by an earlier try whose answer was lost, on a node that did not come to tell the others.
    async fn take_back_ended(&self, id: AccountId, cause: &Cause) -> Result<(), StoreError> {
        let ended = self.store.ended_sessions_of(id, cause.at).await?;
        let revocations: Vec<Revocation> = ended.iter().map(|session| session.revocation(cause.at)).collect();
        self.revocations.apply(&revocations);
        Ok(())
    }
}
