//! The configuration: what each setting means, and what is wrong with it, all at once. The manual is `config.default.toml`.

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        #[expect(missing_docs, reason = "each field is documented in config.default.toml, under the same name")]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }
    };
}

mod claims;
mod cookies;
mod events;
mod identity;
mod jobs;
mod limits;
mod load;
mod nextcloud;
mod notify;
mod password;
mod read;
mod secrets;
mod sign_in;
mod source;
mod span;
mod telemetry;
#[cfg(test)]
mod tests;
mod tls;
mod url;
mod web;
mod webhooks;

use std::net::SocketAddr;

use chrono::TimeDelta;

pub use self::cookies::{Cookies, SameSite};
pub use self::events::{Events, RabbitMq};
pub use self::identity::{HttpProvider, Identity, Provider, Zibal};
pub use self::jobs::{Jobs, Purge};
pub use self::limits::{Limit, Limits, Spend, UnusedCodes};
pub use self::load::{Allowance, Callers, Load};
pub use self::nextcloud::{DisplayName, Nextcloud, OnDeletion, UserIdPattern};
pub use self::notify::{Kavenegar, Lookups, Notify, Route, Smtp, SmtpTls, Twilio, Webhook};
pub use self::password::Password;
pub use self::secrets::SecretFiles;
use self::secrets::Source;
pub use self::sign_in::{FirstStep, NewAccountStep, ProfileField, SignIn};
pub use self::source::Problem;
use self::source::{DEFAULTS, Settings};
pub use self::telemetry::Telemetry;
pub use self::tls::Tls;
pub use self::web::Web;
pub use self::webhooks::Webhooks;
use crate::model::{Algorithm, ClaimRule, Region};
use crate::root_key::RootKey;
use crate::secret::Secret;

/// How strict the checks of a configuration are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Works with nothing configured.
    Development,
    /// Refuses what is fit for development only.
    Production,
}

/// Every setting, read and checked.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is documented in config.default.toml, under the same name")]
pub struct Config {
    pub profile: Profile,
    pub grpc: Grpc,
    pub http_listen: SocketAddr,
    /// None where both ports speak plain text.
    pub tls: Option<Tls>,
    pub database: Database,
    pub cache: CacheConfig,
    /// The root key; none in development where one is to be generated.
    pub root_key: Option<RootKey>,
    pub previous_root_key: Option<RootKey>,
    /// How often files with secrets are looked at.
    pub reload_secrets_every: TimeDelta,
    /// The files that secrets were read from.
    pub secret_files: SecretFiles,
    pub token: Token,
    pub keys: Keys,
    pub session: SessionConfig,
    pub revocation: RevocationConfig,
    pub accounts: Accounts,
    pub otp: Otp,
    pub sign_in: SignIn,
    pub cookies: Cookies,
    pub web: Web,
    pub password: Password,
    pub limits: Limits,
    pub load: Load,
    pub callers: Callers,
    pub notify: Notify,
    pub identity: Identity,
    pub events: Events,
    pub webhooks: Webhooks,
    pub nextcloud: Nextcloud,
    pub purge: Purge,
    pub jobs: Jobs,
    pub log: Log,
    pub telemetry: Telemetry,
    source: Source,
}

section! {
    /// `[grpc]`
    Grpc { listen: SocketAddr, workers: usize, drain_delay: TimeDelta, drain: TimeDelta, }
}
section! {
    /// `[database]`
    Database { url: Secret<String>, max_connections: u32, migrate: bool, }
}
section! {
    /// `[cache]`
    CacheConfig { url: Secret<String>, ca_file: String, key_prefix: String, timeout: TimeDelta, }
}
section! {
    /// `[token]`
    Token {
        issuer: String,
        audience: Vec<String>,
        client_id: String,
        scopes: Vec<String>,
        anonymous_scopes: Vec<String>,
        access_lifetime: TimeDelta,
        anonymous_lifetime: TimeDelta,
        leeway: TimeDelta,
        remembered: usize,
        claims: Vec<ClaimRule>,
        max_bytes: usize,
    }
}
section! {
    /// `[keys]`
    Keys { algorithm: Algorithm, rotate_every: TimeDelta, jwks_lifetime: TimeDelta, }
}
section! {
    /// `[session]`
    SessionConfig { idle_lifetime: TimeDelta, absolute_lifetime: TimeDelta, grace: TimeDelta, }
}
section! {
    /// `[revocation]`
    RevocationConfig { bound: TimeDelta, reconcile_every: TimeDelta, watchers: usize, }
}
section! {
    /// `[accounts]`
    Accounts { open_registration: bool, default_region: Region, }
}
section! {
    /// `[otp]`
    Otp {
        length: usize,
        lifetime: TimeDelta,
        guesses: u64,
        resend_after: TimeDelta,
        messages: u64,
    }
}
section! {
    /// `[log]`
    Log { json: bool, filter: String, }
}

/// Everything that is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigError(pub Vec<Problem>);

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("- {problem}")).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// The manual, which is also the defaults.
    #[must_use]
    pub const fn manual() -> &'static str {
        DEFAULTS
    }

    /// Reads the defaults, a file over them, and the environment over both.
    pub fn load(
        path: Option<&std::path::Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_from(Source::new(path, environment))
    }

    /// Reads everything once more from where it came from.
    pub fn read_again(&self) -> Result<Self, ConfigError> {
        Self::load_from(self.source.clone())
    }

    fn load_from(source: Source) -> Result<Self, ConfigError> {
        let path = source.path.as_deref();
        let file = match path {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path.display().to_string(), text)),
                Err(error) => {
                    return Err(ConfigError(vec![Problem {
                        setting: "the configuration file".to_owned(),
                        origin: path.display().to_string(),
                        fault: format!("cannot be read: {error}"),
                    }]));
                }
            },
        };
        let file = file.as_ref().map(|(path, text)| (path.as_str(), text.as_str()));
        let mut config = Self::read(Settings::gather(file, source.environment()))?;
        config.source = source;
        Ok(config)
    }

    fn read(mut settings: Settings) -> Result<Self, ConfigError> {
        let config = read::config(&mut settings);
        if let Some(config) = &config {
            read::check(config, &mut settings);
        }
        match config {
            Some(config) if settings.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(settings.problems)),
        }
    }
}
