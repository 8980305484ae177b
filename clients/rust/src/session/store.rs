//! Where a session's tokens are kept between runs. Owns the promise that what was saved is there after a crash.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What is kept of a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The token that is sent with requests.
    pub access_token: String,
    /// When it was asked for, by this machine's clock.
    pub asked_at: DateTime<Utc>,
    /// When it expires, by this machine's clock.
    pub access_expires_at: DateTime<Utc>,
    /// What is exchanged for the next pair.
    pub refresh_token: String,
    /// The `request_id` of an exchange that has had no answer yet. The same one has to be sent again until there is one.
    pub pending: Option<String>,
}

/// Without the tokens.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("access_expires_at", &self.access_expires_at)
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

/// Keeps a session's tokens: in a file, in the memory of a test, or in whatever safe the platform has.
///
/// The methods may block; they are called where that harms nobody, and one at a time. What [`Self::save`] has taken must be
/// there after a crash: it is called with the name of an exchange before that exchange begins.
pub trait TokenStore: Send + Sync + 'static {
    /// What was saved last, if anything was.
    fn load(&self) -> io::Result<Option<Stored>>;

    /// Keeps this in the place of what was there: all of it or, if that fails, none.
    fn save(&self, stored: &Stored) -> io::Result<()>;

    /// Keeps nothing any more.
    fn clear(&self) -> io::Result<()>;
}

/// Keeps tokens for as long as the process runs. For tests, and for apps that sign in each time they start.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Option<Stored>>);

impl TokenStore for MemoryStore {
    fn load(&self) -> io::Result<Option<Stored>> {
        Ok(self.0.lock().clone())
    }

    fn save(&self, stored: &Stored) -> io::Result<()> {
        *self.0.lock() = Some(stored.clone());
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        *self.0.lock() = None;
        Ok(())
    }
}

/// Keeps tokens in a file that only its owner may read. One process at a time may use it.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Held for as long as the store is there.
    _lock: File,
}

impl FileStore {
    /// Uses the file at `path`, which need not be there yet; its folder must. Fails where another process uses it: two that
    /// refreshed one session would take each other for thieves.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let folder = tempfile::tempdir()?;
    /// use countersign_client::{FileStore, TokenStore};
    ///
    /// let store = FileStore::open(folder.path().join("session.json"))?;
    /// assert_eq!(store.load()?, None);
    /// # Ok(()) }
    /// ```
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let lock = private().truncate(false).open(beside(&path, "lock"))?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another process uses this file")
            }
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Self { path, _lock: lock })
    }
}

impl TokenStore for FileStore {
    fn load(&self) -> io::Result<Option<Stored>> {
        match fs::read(&self.path) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn save(&self, stored: &Stored) -> io::Result<()> {
        let next = beside(&self.path, "next");
        let mut file = private().truncate(true).open(&next)?;
        file.write_all(&serde_json::to_vec(stored)?)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        sync_folder(&self.path)
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_folder(&self.path),
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A name is in its folder for good once the folder has been written; elsewhere than on Unix there is no asking for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(pending: Option<&str>) -> Stored {
        Stored {
            access_token: "canary-access".to_owned(),
            asked_at: DateTime::UNIX_EPOCH,
            access_expires_at: DateTime::UNIX_EPOCH,
            refresh_token: "canary-refresh".to_owned(),
            pending: pending.map(str::to_owned),
        }
    }

    fn keeps_what_it_is_given(store: &dyn TokenStore) {
        assert_eq!(store.load().unwrap(), None);
        store.clear().unwrap();
        for pending in [Some("a"), None] {
            store.save(&stored(pending)).unwrap();
            assert_eq!(store.load().unwrap(), Some(stored(pending)));
        }
        store.clear().unwrap();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn stores_keep_what_they_are_given() {
        let folder = tempfile::tempdir().unwrap();
        keeps_what_it_is_given(&MemoryStore::default());
        keeps_what_it_is_given(&FileStore::open(folder.path().join("session.json")).unwrap());
    }

    #[test]
    fn a_file_outlives_its_store_and_has_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        let store = FileStore::open(&path).unwrap();
        store.save(&stored(Some("a"))).unwrap();
        assert_eq!(FileStore::open(&path).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        drop(store);
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap(), Some(stored(Some("a"))));
        fs::write(&path, "{").unwrap();
        assert_eq!(FileStore::open(&path).unwrap().load().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        FileStore::open(&path).unwrap().save(&stored(None)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn tokens_are_not_printed() {
        assert!(!format!("{:?}", stored(None)).contains("canary"));
    }
}
