//! Endpoints of others that events are posted to: set up, listed, given another secret, taken away; and what each of them
//! needs to be posted to. When that happens is left to the relay.

mod address;
mod post;
mod sender;
mod signature;

use std::sync::Arc;

use aws_lc_rs::digest;

use self::address::Reach;
pub use self::address::{InvalidWebhookUrl, WebhookUrl};
pub use self::post::Post;
use self::post::{Endpoint, Means};
use self::sender::Sender;
use self::signature::SigningSecret;
use super::Destination;
use crate::clock::Clock;
use crate::config::{self, Config, Profile};
use crate::model::{Cause, KindFilter, RequestId, Webhook, WebhookId, WebhookName};
use crate::random::Random;
use crate::root_key::{MacKey, Purpose, RootKey};
use crate::seal::{self, KeyEncryptionKey, SealError};
use crate::secret::Secret;
use crate::store::{SealedSecret, Store, StoreError, WebhookConflict};

/// The most secrets that sign at a time: a header must not grow with each rotation.
const MOST_SECRETS: usize = 4;

/// The endpoints of this installation.
#[derive(Debug)]
pub struct Webhooks {
    store: Store,
    settings: config::Webhooks,
    reach: Reach,
    /// Yields the secret that a repeated request is answered with again.
    derive: MacKey,
    /// The current key-encryption key first.
    sealing: Vec<KeyEncryptionKey>,
    clock: Clock,
    /// None where endpoints are looked after and nothing is posted.
    means: Option<Arc<Means>>,
}

/// Why nothing can be posted at all.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PostError(#[from] reqwest::Error);

/// Why an endpoint could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Another endpoint has this name.
    #[error("another endpoint has this name")]
    NameTaken,
    /// There is no such endpoint.
    #[error("there is no such endpoint")]
    NotFound,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// A secret cannot be encrypted.
    #[error("the secret cannot be sealed: {0}")]
    Seal(#[from] SealError),
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WebhookConflict> for WebhookError {
    fn from(conflict: WebhookConflict) -> Self {
        match conflict {
            WebhookConflict::NameTaken => Self::NameTaken,
            WebhookConflict::SecretTaken => Self::IntentReused,
            WebhookConflict::NotFound => Self::NotFound,
        }
    }
}

/// An endpoint's new secret.
#[derive(Debug)]
pub struct NewSecret {
    /// The endpoint.
    pub webhook: Webhook,
    /// As its owner is shown it.
    pub secret: Secret<String>,
    /// Until when the one before signs as well.
    pub former_until: chrono::DateTime<chrono::Utc>,
}

impl Webhooks {
    /// The endpoints in a database, to look after.
    #[must_use]
    pub fn new(config: &Config, root_key: &RootKey, store: Store, clock: Clock) -> Self {
        let root_keys = std::iter::once(root_key).chain(config.previous_root_key.as_ref());
        Self {
            store,
            reach: Reach {
                needs_tls: config.profile == Profile::Production,
                allows_private: config.webhooks.allow_private_networks,
            },
            settings: config.webhooks.clone(),
            derive: MacKey::new(root_key, Purpose::DeriveWebhookSecrets),
            sealing: root_keys.map(|key| key.derive(Purpose::SealWebhookSecrets)).collect(),
            clock,
            means: None,
        }
    }

    /// The same, to post to as well; `store` is what the relay stands on.
    pub fn able_to_post(self, store: Store) -> Result<Self, PostError> {
        let means = Means {
            sender: Sender::new(&self.settings, self.reach, self.clock.clone())?,
            store,
            clock: self.clock.clone(),
            settings: self.settings.clone(),
        };
        Ok(Self { means: Some(Arc::new(means)), ..self })
    }

    /// Those that events are posted to now. One that is as it was stays the one it was.
    pub(super) async fn destinations(&self, before: &[Arc<Destination>]) -> Result<Vec<Arc<Destination>>, StoreError> {
        let Some(means) = &self.means else { return Ok(Vec::new()) };
        let mut webhooks = means.store.webhooks().await?;
        webhooks.retain(|webhook| webhook.disabled_at.is_none());
        if webhooks.is_empty() {
            return Ok(Vec::new());
        }
        let sealed = means.store.webhook_secrets(self.clock.now()).await?;
        let destinations = webhooks.into_iter().map(|webhook| {
            let secrets = sealed.iter().filter(|secret| secret.webhook_id == webhook.id).take(MOST_SECRETS);
            let endpoint = Endpoint { secrets: secrets.filter_map(|secret| self.open(secret).ok()).collect(), webhook };
            let same = before.iter().find(|before| match before.as_ref() {
                Destination::Webhook(post) => post.is_to(&endpoint),
                Destination::Broker(_) | Destination::Nextcloud(_) => false,
            });
            let made = || Arc::new(Destination::Webhook(Post::new(endpoint.clone(), Arc::clone(means))));
            same.map_or_else(made, Arc::clone)
        });
        Ok(destinations.collect())
    }

    /// Reads where an endpoint is to be.
    pub fn url(&self, text: &str) -> Result<WebhookUrl, InvalidWebhookUrl> {
        self.reach.url(text)
    }

    /// Sends events of some kinds to an endpoint; of all, if there are none. Its secret is shown this once.
    pub async fn create(
        &self,
        name: &WebhookName,
        url: &WebhookUrl,
        kinds: &KindFilter,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<(Webhook, Secret<String>), WebhookError> {
        let new = Webhook {
            id: WebhookId(Random.id(cause.at)),
            name: name.to_string(),
            url: url.as_str().to_owned(),
            kinds: kinds.clone(),
            created_at: cause.at,
            rotated_at: None,
            disabled_at: None,
        };
        let secret = self.secret(b"create", request_id);
        let sealed = self.seal(new.id, &secret, cause)?;
        let webhook = self.store.add_webhook(&new, &sealed, cause).await??;
        Ok((webhook, secret.to_text()))
    }

    /// Where events are sent to, by name, from behind a cursor.
    pub async fn list(&self, behind: &str, limit: i64) -> Result<Vec<Webhook>, WebhookError> {
        Ok(self.store.webhooks_after(behind, limit).await?)
    }

    /// The identifier of the endpoint with this name.
    pub async fn id_of(&self, name: &str) -> Result<WebhookId, WebhookError> {
        self.store.webhook_called(name).await?.map(|webhook| webhook.id).ok_or(WebhookError::NotFound)
    }

    /// Gives an endpoint another secret, and shows it this once. The one before signs as well for a while.
    pub async fn rotate_secret(
        &self,
        id: WebhookId,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<NewSecret, WebhookError> {
        let secret = self.secret(b"rotate", request_id);
        let sealed = self.seal(id, &secret, cause)?;
        let former_until = cause.at + self.settings.secret_overlap;
        let (webhook, former_until) = self.store.replace_webhook_secret(&sealed, former_until, cause).await??;
        Ok(NewSecret { webhook, secret: secret.to_text(), former_until })
    }

    /// Sends events again to an endpoint that said that it was gone.
    pub async fn enable(&self, id: WebhookId, cause: &Cause) -> Result<Webhook, WebhookError> {
        self.store.enable_webhook(id, cause).await?.ok_or(WebhookError::NotFound)
    }

    /// Ends sending events to an endpoint.
    pub async fn delete(&self, id: WebhookId, cause: &Cause) -> Result<(), WebhookError> {
        if self.store.delete_webhook(id, cause).await? { Ok(()) } else { Err(WebhookError::NotFound) }
    }

    /// A new secret; for an intent that has a name, always the same.
    fn secret(&self, verb: &[u8], request_id: Option<RequestId>) -> SigningSecret {
        match request_id {
            Some(id) => SigningSecret::new(self.derive.mac(&[verb, id.0.as_bytes()])),
            None => SigningSecret::generate(),
        }
    }

    fn seal(&self, id: WebhookId, secret: &SigningSecret, cause: &Cause) -> Result<SealedSecret, WebhookError> {
        let key = self.sealing.first().ok_or(SealError::Failed)?;
        Ok(SealedSecret {
            webhook_id: id,
            digest: digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().to_vec(),
            sealed: seal::seal(Random, key, &context(id), secret.as_bytes())?,
            created_at: cause.at,
            until: None,
        })
    }

    fn open(&self, sealed: &SealedSecret) -> Result<SigningSecret, SealError> {
        let mut fault = SealError::Failed;
        for key in &self.sealing {
            match seal::open(key, &context(sealed.webhook_id), &sealed.sealed) {
                Ok(bytes) => {
                    let bytes = bytes.expose().as_slice().try_into();
                    return bytes.map(SigningSecret::new).map_err(|_| SealError::WrongKeyOrDamaged);
                }
                Err(error) => fault = error,
            }
        }
        Err(fault)
    }
}

/// What a secret is sealed for, so that it cannot be put in another endpoint's place.
fn context(id: WebhookId) -> String {
    format!("webhook:{id}")
}
