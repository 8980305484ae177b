//! Links with which a forgotten password is replaced. They go only to numbers and addresses that were proved, and lead only
//! to where the configuration says. What is kept of one is a MAC of it, in the cache.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::unseen::unseen;
use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::config;
use crate::guard::{Guard, GuardError};
use crate::model::{Account, AccountId, AccountState, Channel, ClientContext, Content, Identifier, Message, RequestId};
use crate::notify::{Notifier, NotifyError, Place};
use crate::random::Random;
use crate::root_key::MacKey;
use crate::secret::Secret;
use crate::store::{Store, StoreError};

/// What stands for the token in the configured URL.
const PLACEHOLDER: &str = "{token}";

/// The links of this installation.
#[derive(Clone, Debug)]
pub struct Resets {
    /// Where they live.
    pub cache: Cache,
    /// What bounds how many are sent.
    pub guard: Guard,
    /// Through which they leave.
    pub notifier: Notifier,
    /// Whom they are for.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Where they lead, and how long they live.
    pub settings: config::Password,
    /// Hashes them.
    pub mac: MacKey,
}

/// What a link proves.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Reset {
    /// Whose password may be set.
    pub account: AccountId,
    /// A digest of where it went: once that is no longer the account's own, the link is void.
    sent_to: [u8; 32],
    /// A digest of the hash that the account had then: once the password is another, the link is void.
    replaces: [u8; 32],
    expires_at: DateTime<Utc>,
}

/// Why no link is sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ResetError {
    /// There is no place where a link could lead to.
    #[error("links to set a new password are not offered")]
    NotOffered,
    /// Messages do not leave by this channel here.
    #[error("this channel is not offered")]
    ChannelNotOffered,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// A limit is reached, or could not be counted.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The message cannot be handed in.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// The cache gives no answer.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Why a link was not sent after all. Nobody who asked may learn of it.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Resets {
    /// Sends a link to whoever owns this, if they have an account. What is found out about them is found out behind the
    /// caller's back, in the place in the queue that is already taken.
    pub async fn request(
        &self,
        identifier: &Identifier,
        client: &ClientContext,
        request_id: Option<RequestId>,
    ) -> Result<(), ResetError> {
        if self.settings.reset_url.is_empty() {
            return Err(ResetError::NotOffered);
        }
        if !self.notifier.offers(Channel::of(identifier)) {
            return Err(ResetError::ChannelNotOffered);
        }
        let digest = self.mac.mac(&[b"reset", identifier.as_str().as_bytes()]);
        let intent_key = request_id.map(|id| format!("{{reset:intent:{id}}}"));
        if let Some(key) = &intent_key
            && let Some(answered) = self.cache.get(key).await?
        {
            return same(&answered, &digest);
        }
        self.guard.admit_reset(identifier, client.ip.into()).await?;
        self.guard.admit_code(identifier, client.ip.into()).await?;
        let place = self.notifier.reserve()?;
        if let Some(key) = &intent_key {
            // Who writes this down is who sends: of two tries at once, one message leaves.
            let until = self.clock.now() + self.settings.reset_lifetime;
            match self.cache.put_if_absent(key, &digest, until).await {
                Ok(None) => {}
                Ok(Some(other)) => return same(&other, &digest),
                Err(error) => {
                    // It may have been written all the same; a retry must not take that for a message that has left.
                    let _ = self.cache.delete(key).await;
                    return Err(error.into());
                }
            }
        }
        let (this, identifier) = (self.clone(), identifier.clone());
        unseen(async move {
            if let Err(error) = this.send(place, identifier).await {
                tracing::error!(%error, "a link to set a new password was not sent");
            }
        });
        Ok(())
    }

    async fn send(&self, place: Place, identifier: Identifier) -> Result<(), Unsent> {
        let now = self.clock.now();
        let Some(account) = self.store.account_of(&identifier).await? else { return Ok(()) };
        if account.state_at(now) != AccountState::Active {
            return Ok(());
        }
        let token = Secret::new(URL_SAFE_NO_PAD.encode(Random.bytes::<32>()));
        let expires_at = now + self.settings.reset_lifetime;
        let sent_to = self.digest_of_place(&identifier);
        let reset = Reset { account: account.id, sent_to, replaces: self.digest_of(&account), expires_at };
        self.keep(&token, &reset).await?;
        let url = Secret::new(self.settings.reset_url.replace(PLACEHOLDER, token.expose()));
        place.send(Message {
            id: Random.id(now),
            channel: Channel::of(&identifier),
            to: identifier,
            locale: account.locale.parse().unwrap_or(self.notifier.default_locale()),
            content: Content::PasswordReset { url, expires_at },
        });
        Ok(())
    }

    /// What a link proves, for whoever is about to use it up.
    pub async fn look_up(&self, token: &Secret<String>) -> Result<Option<Reset>, CacheError> {
        Ok(self.cache.get(&self.key(token)).await?.as_deref().and_then(decode))
    }

    /// Uses a link up: of all who try, one gets it.
    pub async fn redeem(&self, token: &Secret<String>) -> Result<Option<Reset>, CacheError> {
        Ok(self.cache.take(&self.key(token)).await?.as_deref().and_then(decode))
    }

    /// Makes a link count again that was used up a moment ago for something that could not be done. Should it have been
    /// done all the same, the password is another, and the link void.
    pub async fn give_back(&self, token: &Secret<String>, reset: &Reset) {
        if let Err(error) = self.keep(token, reset).await {
            tracing::debug!(%error, "a link stays used up");
        }
    }

    /// Whether a link is for the account as it is now.
    #[must_use]
    pub fn holds(&self, reset: &Reset, account: &Account) -> bool {
        // A link that waits in a mailbox which the owner has given up, or lost, must not lead into the account.
        let own = [account.phone.clone().map(Identifier::Phone), account.email.clone().map(Identifier::Email)];
        let still_theirs = own.iter().flatten().any(|own| reset.sent_to.ct_eq(&self.digest_of_place(own)).into());
        reset.account == account.id && still_theirs && bool::from(reset.replaces.ct_eq(&self.digest_of(account)))
    }

    fn digest_of_place(&self, identifier: &Identifier) -> [u8; 32] {
        self.mac.mac(&[b"reset-to", identifier.as_str().as_bytes()])
    }

    fn digest_of(&self, account: &Account) -> [u8; 32] {
        let hash = account.password_hash.as_ref().map_or("", |hash| hash.expose());
        self.mac.mac(&[b"reset-of", account.id.0.as_bytes(), hash.as_bytes()])
    }

    async fn keep(&self, token: &Secret<String>, reset: &Reset) -> Result<(), CacheError> {
        // Plain data always has a form in JSON.
        let kept = serde_json::to_vec(reset).unwrap_or_default();
        self.cache.put(&self.key(token), &kept, reset.expires_at).await
    }

    fn key(&self, token: &Secret<String>) -> String {
        let mac = self.mac.mac(&[b"reset-token", token.expose().as_bytes()]);
        format!("{{reset:token:{}}}", URL_SAFE_NO_PAD.encode(mac))
    }
}

/// What cannot be read, because another release wrote it, counts as absent.
fn decode(kept: &[u8]) -> Option<Reset> {
    serde_json::from_slice(kept).ok()
}

fn same(answered: &[u8], digest: &[u8; 32]) -> Result<(), ResetError> {
    if answered == digest { Ok(()) } else { Err(ResetError::IntentReused) }
}
