//! Where a configuration came from, and the files that its secrets were read from, so that what changes there is noticed.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Where settings come from. Variables may hold secrets, and are not to be printed.
#[derive(Clone, Default)]
pub(super) struct Source {
    pub(super) path: Option<PathBuf>,
    variables: Vec<(String, Secret<String>)>,
}

impl Source {
    pub(super) fn new(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Self {
        let own = environment.filter(|(name, _)| name.starts_with(super::source::PREFIX));
        Self { path: path.map(Path::to_owned), variables: own.map(|(name, text)| (name, text.into())).collect() }
    }

    pub(super) fn environment(&self) -> impl Iterator<Item = (String, String)> {
        self.variables.iter().map(|(name, text)| (name.clone(), text.expose().clone()))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The files that secrets were read from, and what stood in them then.
#[derive(Clone, Debug, Default)]
pub struct SecretFiles(Vec<SecretFile>);

#[derive(Clone, Debug)]
struct SecretFile {
    setting: String,
    path: PathBuf,
    content: Secret<String>,
}

impl SecretFiles {
    pub(super) fn note(&mut self, setting: &str, path: &str, content: &str) {
        let content = Secret::new(content.to_owned());
        self.0.push(SecretFile { setting: setting.to_owned(), path: path.into(), content });
    }

    /// The settings whose files hold something else now. A file that is not there at the moment is being replaced.
    #[must_use]
    pub fn changed(&self) -> Vec<String> {
        let has_changed = |file: &&SecretFile| {
            let now = std::fs::read_to_string(&file.path).map(Secret::new);
            now.is_ok_and(|now| now.expose().trim() != file.content.expose())
        };
        self.0.iter().filter(has_changed).map(|file| file.setting.clone()).collect()
    }

    /// The settings whose files held something else when they were read once more.
    #[must_use]
    pub fn differing(&self, again: &Self) -> Vec<String> {
        let differs = |file: &&SecretFile| {
            let same = self.0.iter().find(|before| before.setting == file.setting);
            same.is_some_and(|before| before.content.expose() != file.content.expose())
        };
        again.0.iter().filter(differs).map(|file| file.setting.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_is_noticed_and_nothing_is_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let mut files = SecretFiles::default();
        files.note("jobs.http_key", path.to_str().unwrap(), "hush-1");
        assert!(files.changed().is_empty());
        std::fs::write(&path, "hush-1\n").unwrap();
        assert!(files.changed().is_empty());
        std::fs::write(&path, "hush-2\n").unwrap();
        assert_eq!(files.changed(), ["jobs.http_key"]);
        // What counts is what was read, not what has become of the file since.
        let mut again = SecretFiles::default();
        again.note("jobs.http_key", path.to_str().unwrap(), "hush-2");
        again.note("cache.url", "elsewhere", "hush-4");
        std::fs::write(&path, "hush-1").unwrap();
        assert_eq!(files.differing(&again), ["jobs.http_key"]);
        assert!(files.differing(&files).is_empty());
        let variables = [("COUNTERSIGN__JOBS__HTTP_KEY".to_owned(), "hush-3".to_owned())];
        let source = Source::new(None, variables.into_iter());
        assert!(!format!("{files:?} {source:?}").contains("hush"));
    }
}
