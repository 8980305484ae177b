//! Services and gateways that call, known by API keys or by names in their certificates. All of them are held in memory, so that an interceptor can tell who
//! calls without waiting; of a key only the hash is kept.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::{Caller, CallerId, CallerName, Cause, CertificateName, Permissions, RequestId};
use crate::random::Random;
use crate::root_key::MacKey;
use crate::secret::Secret;
use crate::store::{CallerConflict, Store, StoreError, StoredCaller};

/// What every API key begins with, so that it is recognised where it does not belong.
pub const API_KEY_PREFIX: &str = "csk_";

/// The callers of this installation.
#[derive(Debug)]
pub struct Callers {
    store: Store,
    /// Yields the key that a repeated request is answered with again.
    derive: MacKey,
    by_hash: ArcSwap<HashMap<[u8; 32], Arc<Caller>>>,
    by_certificate: ArcSwap<HashMap<CertificateName, Arc<Caller>>>,
    /// One reading at a time, so that an older one never takes a newer one's place.
    reading: tokio::sync::Mutex<()>,
}

/// Why a caller could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum CallerError {
    /// Another caller has this name.
    #[error("another caller has this name")]
    NameTaken,
    /// Another caller has this name in its certificate.
    #[error("another caller is known by this name in its certificate")]
    CertificateTaken,
    /// There is no such caller.
    #[error("there is no such caller")]
    NotFound,
    /// The name of the intent was used for something else.
    #[error("the request_id was used for something else")]
    IntentReused,
    /// The database gives no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CallerConflict> for CallerError {
    fn from(conflict: CallerConflict) -> Self {
        match conflict {
            CallerConflict::NameTaken => Self::NameTaken,
            CallerConflict::CertificateTaken => Self::CertificateTaken,
            CallerConflict::KeyTaken => Self::IntentReused,
            CallerConflict::NotFound => Self::NotFound,
        }
    }
}

impl Callers {
    /// Reads who may call.
    pub async fn open(store: Store, derive: MacKey) -> Result<Self, StoreError> {
        let callers = Self {
            store,
            derive,
            by_hash: ArcSwap::default(),
            by_certificate: ArcSwap::default(),
            reading: tokio::sync::Mutex::default(),
        };
        callers.reload().await?;
        Ok(callers)
    }

    /// Reads who may call again.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        let (mut by_hash, mut by_certificate) = (HashMap::new(), HashMap::new());
        for StoredCaller { caller, key_hash } in self.store.callers().await? {
            let Ok(hash) = <[u8; 32]>::try_from(key_hash) else { continue };
            let caller = Arc::new(caller);
            if let Some(name) = &caller.certificate_name {
                by_certificate.insert(name.clone(), Arc::clone(&caller));
            }
            by_hash.insert(hash, caller);
        }
        self.by_hash.store(Arc::new(by_hash));
        self.by_certificate.store(Arc::new(by_certificate));
        Ok(())
    }

    /// Whose certificate gives these names. Where they are those of several callers, it is nobody's: it could be meant for any.
    #[must_use]
    pub fn by_certificate(&self, names: &[CertificateName]) -> Option<Arc<Caller>> {
        let callers = self.by_certificate.load();
        let mut found = names.iter().filter_map(|name| callers.get(name));
        let caller = found.next()?;
        found.all(|other| other.id == caller.id).then(|| Arc::clone(caller))
    }

    /// Whose key this is.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<Arc<Caller>> {
        if !key.starts_with(API_KEY_PREFIX) {
            return None;
        }
        // Keys are 32 random bytes, so that a look-up by their hash gives nothing away through its timing.
        self.by_hash.load().get(&hash(key)).cloned()
    }

    /// What a caller is now, if it is still let in with what it came with.
    #[must_use]
    pub fn now(&self, caller: &Caller) -> Option<Arc<Caller>> {
        let callers = self.by_hash.load();
        callers.values().find(|now| now.id == caller.id && now.rotated_at == caller.rotated_at).cloned()
    }

    /// Lets a caller in. The key is shown this once.
    pub async fn create(
        &self,
        name: &CallerName,
        permissions: Permissions,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<(Caller, Secret<String>), CallerError> {
        self.add(&name.to_string(), permissions, None, self.key(b"create", request_id), cause).await
    }

    /// Lets a caller in that is known by its certificate. It has a key that nobody is told.
    pub async fn create_certified(
        &self,
        name: &CallerName,
        permissions: Permissions,
        certificate_name: CertificateName,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<Caller, CallerError> {
        let key = self.key(b"create", request_id);
        let (caller, _) = self.add(&name.to_string(), permissions, Some(certificate_name), key, cause).await?;
        Ok(caller)
    }

    /// Lets a caller in under a key that is the same each time, for development.
    pub async fn create_for_development(
        &self,
        name: &str,
        permissions: Permissions,
        cause: &Cause,
    ) -> Result<Secret<String>, CallerError> {
        let key = render(self.derive.mac(&[b"development", name.as_bytes()]));
        let added = match self.add(name, permissions, None, key.clone(), cause).await {
            // It stands there from another root key, or with other permissions.
            Err(CallerError::NameTaken | CallerError::IntentReused) => {
                self.store.delete_caller(self.id_of(name).await?, cause).await?;
                self.add(name, permissions, None, key, cause).await
            }
            added => added,
        };
        added.map(|(_, key)| key)
    }

    /// Shuts the caller of this name out, if there is one.
    pub async fn shut_out(&self, name: &str, cause: &Cause) -> Result<(), CallerError> {
        match self.id_of(name).await {
            Ok(id) => self.delete(id, cause).await,
            Err(CallerError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn add(
        &self,
        name: &str,
        permissions: Permissions,
        certificate_name: Option<CertificateName>,
        key: Secret<String>,
        cause: &Cause,
    ) -> Result<(Caller, Secret<String>), CallerError> {
        let id = CallerId(Random.id(cause.at));
        let (name, created_at) = (name.to_owned(), cause.at);
        let caller = Caller { id, name, permissions, created_at, rotated_at: None, certificate_name };
        let stored = StoredCaller { caller, key_hash: hash(key.expose()).to_vec() };
        let caller = self.store.add_caller(&stored, cause).await??;
        self.reload().await?;
        Ok((caller, key))
    }

    /// Gives a caller another key, and shows it this once. The old one stops to count.
    pub async fn rotate_key(
        &self,
        id: CallerId,
        request_id: Option<RequestId>,
        cause: &Cause,
    ) -> Result<(Caller, Secret<String>), CallerError> {
        let key = self.key(b"rotate", request_id);
        let caller = self.store.replace_caller_key(id, &hash(key.expose()), cause).await??;
        self.reload().await?;
        Ok((caller, key))
    }

    /// Shuts a caller out.
    pub async fn delete(&self, id: CallerId, cause: &Cause) -> Result<(), CallerError> {
        if !self.store.delete_caller(id, cause).await? {
            return Err(CallerError::NotFound);
        }
        self.reload().await?;
        Ok(())
    }

    /// Who may call, by name, from behind a cursor.
    pub async fn list(&self, behind: &str, limit: i64) -> Result<Vec<Caller>, CallerError> {
        Ok(self.store.callers_after(behind, limit).await?)
    }

    /// The identifier of the caller with this name.
    pub async fn id_of(&self, name: &str) -> Result<CallerId, CallerError> {
        let callers = self.store.callers().await?;
        let found = callers.into_iter().find(|stored| stored.caller.name == name);
        found.map(|stored| stored.caller.id).ok_or(CallerError::NotFound)
    }

    /// A new key; for an intent that has a name, always the same.
    fn key(&self, verb: &[u8], request_id: Option<RequestId>) -> Secret<String> {
        render(request_id.map_or_else(|| Random.bytes(), |id| self.derive.mac(&[verb, id.0.as_bytes()])))
    }
}

fn render(bytes: [u8; 32]) -> Secret<String> {
    Secret::new(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

fn hash(key: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, key.as_bytes()).as_ref());
    hash
}
