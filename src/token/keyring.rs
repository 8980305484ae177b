//! The keys of this installation, as a node holds them in memory, and the steps of their life.
//!
//! A key is published first (*pending*), signs next (*active*), and verifies until the last token that it signed has expired
//! (*retired*). Each step has one winner among the nodes; the others learn of it when they read the keys again.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use chrono::{DateTime, TimeDelta, Utc};
use tracing::{error, info};

use super::{KeySet, PublicKey, SigningPair};
use crate::clock::Clock;
use crate::config;
use crate::model::{Cause, KeyState, SigningKey};
use crate::random::Random;
use crate::root_key::{Purpose, RootKey};
use crate::seal;
use crate::store::{Store, StoreError, Successor};

/// The keys of this installation.
#[derive(Debug)]
pub struct Keyring {
    store: Store,
    clock: Clock,
    settings: config::Keys,
    /// The longest life of a token that this node may sign.
    longest_token: TimeDelta,
    /// The current key-encryption key first.
    sealing: Vec<seal::KeyEncryptionKey>,
    current: ArcSwap<Keys>,
    /// As of when they are the installation's, in microseconds since 1970.
    as_of: AtomicI64,
    /// One reading at a time, so that an older one never takes a newer one's place.
    reading: tokio::sync::Mutex<()>,
}

/// How a rotation that somebody asks for is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// Step by step, so that nobody is surprised.
    None,
    /// A new key signs at once; those with a cached set of keys may refuse its tokens for a while.
    Forced,
    /// The same, and no key before it verifies any more, because one has leaked.
    Leaked,
}

impl Haste {
    /// What somebody wants who says whether to force it, and whether a key has leaked.
    #[must_use]
    pub const fn of(force: bool, leaked: bool) -> Self {
        match (leaked, force) {
            (true, _) => Self::Leaked,
            (false, true) => Self::Forced,
            (false, false) => Self::None,
        }
    }
}

/// The keys at one moment.
#[derive(Debug)]
pub struct Keys {
    /// All that verify, those included that do not sign yet.
    pub set: KeySet,
    /// The one that signs.
    pub active: SigningPair,
    /// How long the longest-lived token can be around that any of them has signed.
    pub longest_token: TimeDelta,
    /// What was read from the database, newest first.
    pub records: Vec<SigningKey>,
}

/// Why there are no keys to work with.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be opened.
    #[error("signing key {kid} cannot be opened: {cause}; it was sealed under another root key")]
    Sealed {
        /// Which.
        kid: String,
        /// Why.
        cause: String,
    },
    /// The set makes no sense.
    #[error("the signing keys in the database make no sense: {0}")]
    Broken(String),
    /// The next key has not been published for long enough.
    #[error("the next signing key must not be used before {usable_at}, unless it is forced")]
    TooEarly {
        /// When it may.
        usable_at: DateTime<Utc>,
    },
}

impl Keyring {
    /// Reads the keys, and makes the first one where there is none.
    pub async fn open(
        store: Store,
        clock: Clock,
        settings: config::Keys,
        longest_token: TimeDelta,
        root_keys: &[RootKey],
    ) -> Result<Self, KeyringError> {
        let sealing: Vec<_> = root_keys.iter().map(|root| root.derive(Purpose::SealSigningKeys)).collect();
        if store.signing_keys().await?.iter().all(|key| key.state != KeyState::Active) {
            let now = clock.now();
            let first = make_key(settings.algorithm, KeyState::Active, now, longest_token, &sealing).await?;
            store.add_signing_key(&first, &Cause::system(now)).await?;
        }
        store.raise_longest_token(longest_token.num_seconds()).await?;
        let as_of = AtomicI64::new(clock.now().timestamp_micros());
        let current = ArcSwap::from_pointee(read_keys(&store, &sealing).await?);
        let reading = tokio::sync::Mutex::default();
        Ok(Self { store, clock, settings, longest_token, sealing, current, as_of, reading })
    }

    /// As of when the keys that this node works with are those in the database.
    #[must_use]
    pub fn as_of(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.as_of.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// The keys as they are now.
    #[must_use]
    pub fn keys(&self) -> arc_swap::Guard<Arc<Keys>> {
        self.current.load()
    }

    /// For how long others may cache the public keys.
    #[must_use]
    pub const fn cache_lifetime(&self) -> TimeDelta {
        self.settings.jwks_lifetime
    }

    /// From when a pending key may sign: by then everybody's cached set has been replaced at least once.
    #[must_use]
    pub fn usable_at(&self, key: &SigningKey) -> DateTime<Utc> {
        key.created_at + self.settings.jwks_lifetime * 2
    }

    /// Reads the keys again.
    pub async fn reload(&self) -> Result<(), KeyringError> {
        let _reading = self.reading.lock().await;
        let asked = self.clock.now();
        let records = self.store.signing_keys().await?;
        if records != self.keys().records {
            // A key made by a node whose tokens live shorter must outlive ours as well.
            self.store.raise_longest_token(self.longest_token.num_seconds()).await?;
            let keys = read_keys(&self.store, &self.sealing).await?;
            self.current.store(Arc::new(keys));
        }
        self.as_of.store(asked.timestamp_micros(), Ordering::Relaxed);
        Ok(())
    }

    /// Takes the next step as the schedule has it, if one is due.
    pub async fn rotate_if_due(&self, cause: &Cause) -> Result<(), KeyringError> {
        self.reload().await?;
        let now = cause.at;
        let (pending, due) = {
            let keys = self.keys();
            let active_since = active_record(&keys)?.activated_at.unwrap_or(now);
            let other_algorithm = active_record(&keys)?.algorithm != self.settings.algorithm;
            (pending_record(&keys).cloned(), other_algorithm || active_since + self.settings.rotate_every <= now)
        };
        match pending {
            Some(key) if self.usable_at(&key) <= now => self.activate(&key.kid, cause).await,
            None if due => self.publish_next(cause).await.map(drop),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes the next step because somebody asks for it, and tells which key it concerned.
    pub async fn rotate(&self, haste: Haste, cause: &Cause) -> Result<SigningKey, KeyringError> {
        if haste == Haste::Leaked {
            self.reload().await?;
            self.replace_at_once(cause).await?;
            self.store.delete_other_keys(cause).await?;
            self.reload().await?;
            return Ok(active_record(&self.keys())?.clone());
        }
        self.reload().await?;
        let pending = pending_record(&self.keys()).cloned();
        let kid = match pending {
            Some(key) if haste == Haste::Forced || self.usable_at(&key) <= cause.at => {
                self.activate(&key.kid, cause).await?;
                key.kid
            }
            Some(key) => return Err(KeyringError::TooEarly { usable_at: self.usable_at(&key) }),
            None if haste == Haste::Forced => self.replace_at_once(cause).await?,
            None => self.publish_next(cause).await?,
        };
        let keys = self.keys();
        let record = keys.records.iter().find(|key| key.kid == kid).cloned();
        record.ok_or_else(|| KeyringError::Broken(format!("signing key {kid} is gone")))
    }

    /// Tells which key waits then: this one, or one that another node has just published.
    async fn publish_next(&self, cause: &Cause) -> Result<String, KeyringError> {
        let key =
            make_key(self.settings.algorithm, KeyState::Pending, cause.at, self.longest_token, &self.sealing).await?;
        if self.store.add_signing_key(&key, cause).await? {
            info!(kid = %key.kid, "the next signing key is published");
        }
        self.reload().await?;
        let waiting = pending_record(&self.keys()).map(|key| key.kid.clone());
        waiting.ok_or_else(|| KeyringError::Broken("the key just published is gone".to_owned()))
    }

    async fn activate(&self, kid: &str, cause: &Cause) -> Result<(), KeyringError> {
        // A key that cannot be opened here must not become the one that signs.
        if let Some(record) = self.keys().records.iter().find(|key| key.kid == kid) {
            open_key(record, &self.sealing)?;
        }
        let current = active_record(&self.keys())?.kid.clone();
        if self.store.replace_signing_key(&current, Successor::Pending(kid), cause).await? {
            info!(kid, "a new key signs from now on");
        }
        self.reload().await
    }

    async fn replace_at_once(&self, cause: &Cause) -> Result<String, KeyringError> {
        let current = active_record(&self.keys())?.kid.clone();
        let key =
            make_key(self.settings.algorithm, KeyState::Active, cause.at, self.longest_token, &self.sealing).await?;
        if self.store.replace_signing_key(&current, Successor::New(&key), cause).await? {
            info!(kid = %key.kid, "a new key signs from now on, by force");
        }
        self.reload().await?;
        Ok(active_record(&self.keys())?.kid.clone())
    }
}

fn active_record(keys: &Keys) -> Result<&SigningKey, KeyringError> {
    let active = keys.records.iter().find(|key| key.state == KeyState::Active);
    active.ok_or_else(|| KeyringError::Broken("none of them is active".to_owned()))
}

fn pending_record(keys: &Keys) -> Option<&SigningKey> {
    keys.records.iter().find(|key| key.state == KeyState::Pending)
}

async fn make_key(
    algorithm: crate::model::Algorithm,
    state: KeyState,
    now: DateTime<Utc>,
    longest_token: TimeDelta,
    sealing: &[seal::KeyEncryptionKey],
) -> Result<SigningKey, KeyringError> {
    let broken = |cause: String| KeyringError::Broken(cause);
    // An RSA key takes a tenth of a second to find; an event loop must not wait for it.
    let pair = tokio::task::spawn_blocking(move || SigningPair::generate(algorithm)).await;
    let pair = pair.map_err(|error| broken(error.to_string()))?.map_err(|error| broken(error.to_string()))?;
    let kid = pair.public().kid().to_owned();
    let sealing = sealing.first().ok_or_else(|| broken("there is no root key".to_owned()))?;
    let sealed = seal::seal(Random, sealing, &kid, pair.pkcs8());
    Ok(SigningKey {
        algorithm,
        state,
        sealed_private: sealed.map_err(|error| broken(error.to_string()))?,
        public_jwk: serde_json::to_string(&pair.public().to_jwk()).map_err(|error| broken(error.to_string()))?,
        created_at: now,
        activated_at: (state == KeyState::Active).then_some(now),
        retired_at: None,
        longest_token_seconds: longest_token.num_seconds(),
        kid,
    })
}

/// The public halves of all keys, and the private half of the one that signs: the others' are never opened.
async fn read_keys(store: &Store, sealing: &[seal::KeyEncryptionKey]) -> Result<Keys, KeyringError> {
    let records = store.signing_keys().await?;
    let mut public = Vec::with_capacity(records.len());
    for record in &records {
        match PublicKey::from_jwk(&record.public_jwk) {
            Ok(key) if key.kid() == record.kid && key.algorithm() == record.algorithm => public.push(key),
            // One bad row must not stop the others from verifying.
            Ok(_) => error!(kid = %record.kid, "a signing key's public half belongs to another key; it is left out"),
            Err(cause) => error!(kid = %record.kid, %cause, "a signing key's public half is unfit; it is left out"),
        }
    }
    let active = records.iter().find(|key| key.state == KeyState::Active);
    let active = active.ok_or_else(|| KeyringError::Broken("none of them is active".to_owned()))?;
    let pair = open_key(active, sealing)?;
    let set = KeySet::new(public).map_err(|cause| KeyringError::Broken(cause.to_string()))?;
    if set.by_kid(pair.public().kid()).is_none() {
        return Err(KeyringError::Broken("the halves of the active key do not belong together".to_owned()));
    }
    let longest = records.iter().map(|key| key.longest_token_seconds).max().unwrap_or_default();
    Ok(Keys { set, active: pair, longest_token: TimeDelta::seconds(longest), records })
}

fn open_key(record: &SigningKey, sealing: &[seal::KeyEncryptionKey]) -> Result<SigningPair, KeyringError> {
    let mut cause = "there is no root key".to_owned();
    for key in sealing {
        match seal::open(key, &record.kid, &record.sealed_private) {
            Ok(private) => {
                return SigningPair::from_pkcs8(record.algorithm, private.expose())
                    .map_err(|error| KeyringError::Broken(error.to_string()));
            }
            Err(error) => cause = error.to_string(),
        }
    }
    Err(KeyringError::Sealed { kid: record.kid.clone(), cause })
}
