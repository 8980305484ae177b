//! Files with secrets, looked at again and again: what has changed is taken up where that can be done while the node runs.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::app::App;
use crate::config::{Config, ConfigError, SecretFiles};

/// What became of a secret that has changed.
enum Fate {
    /// It is in use.
    Taken,
    /// It takes a restart.
    Waits,
    /// It is not fit.
    Refused(String),
}

/// Looks at the files, and at once where somebody says so, for as long as the node lives.
pub(super) async fn follow(app: Arc<App>) {
    let every = app.config.reload_secrets_every.to_std().unwrap_or(Duration::from_secs(10));
    let mut nudged = app.nudge.listen();
    let mut known = app.config.secret_files.clone();
    let mut complaint = String::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = nudged.given() => {}
        }
        let (looking, files) = (Arc::clone(&app), known.clone());
        // Files may lie on a disk that takes its time.
        let Ok(read) = tokio::task::spawn_blocking(move || look(&looking.config, &files)).await else {
            continue;
        };
        match read {
            Some(Ok(config)) => {
                // Told by what was read: other files may have changed since it was seen that one has.
                take_up(&app, &config, &known.differing(&config.secret_files));
                known = config.secret_files;
                complaint.clear();
            }
            // Said once, and again when something else is wrong.
            Some(Err(error)) if complaint != error.to_string() => {
                complaint = error.to_string();
                warn!(
                    "a file with a secret has changed, and the configuration is not sound any more; what was in use stays in use:\n{error}"
                );
            }
            None | Some(Err(_)) => {}
        }
    }
}

/// The configuration with what stands in the files now, if that is something else than before.
fn look(config: &Config, files: &SecretFiles) -> Option<Result<Config, ConfigError>> {
    (!files.changed().is_empty()).then(|| config.read_again())
}

/// Takes up secrets, and nothing else that may stand in the configuration's file by now.
fn take_up(app: &App, config: &Config, changed: &[String]) {
    let mut rooms: Vec<&str> = Vec::new();
    for setting in changed {
        let room = setting.split('.').next().unwrap_or_default();
        // What belongs together is set up once.
        if matches!(room, "notify" | "identity") && rooms.contains(&room) {
            continue;
        }
        rooms.push(room);
        let outcome = match (room, setting.as_str()) {
            ("database", _) => {
                let url = config.database.url.expose();
                fate(
                    [&app.store, &app.vital, &app.background]
                        .into_iter()
                        .try_for_each(|store| store.renew_credentials(url)),
                )
            }
            ("notify", _) => fate(app.notifier.renew(&app.config.notify.with_secrets_of(&config.notify))),
            ("identity", _) => {
                fate(app.identity_provider.renew(&app.config.identity.with_secrets_of(&config.identity)))
            }
            (_, "jobs.http_key") => {
                app.upkeep.renew_http_key(config.jobs.http_key.clone());
                Fate::Taken
            }
            _ => Fate::Waits,
        };
        match outcome {
            Fate::Taken => info!(setting, "a secret has changed, and the new one is in use"),
            Fate::Waits => warn!(setting, "a secret has changed; the new one is taken up at the next start"),
            Fate::Refused(cause) => warn!(setting, cause, "a secret has changed, and cannot be taken up"),
        }
    }
}

fn fate(outcome: Result<(), impl std::fmt::Display>) -> Fate {
    outcome.map_or_else(|cause| Fate::Refused(cause.to_string()), |()| Fate::Taken)
}
