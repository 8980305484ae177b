//! The configuration: what each setting means, and what is wrong with it, all at once. The manual is `config.default.toml`.

mod source;
mod span;

use std::net::SocketAddr;

use chrono::TimeDelta;

pub use self::source::Problem;
use self::source::{DEFAULTS, Settings};
use self::span::Span;
use crate::model::{Algorithm, Region};
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
    pub database: Database,
    pub cache: CacheConfig,
    /// The root key; none in development where one is to be generated.
    pub root_key: Option<RootKey>,
    pub previous_root_key: Option<RootKey>,
    pub token: Token,
    pub keys: Keys,
    pub session: SessionConfig,
    pub revocation: RevocationConfig,
    pub accounts: Accounts,
    pub otp: Otp,
    pub limits: Limits,
    pub notify: Notify,
    pub purge: Purge,
    pub log: Log,
}

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

section! {
    /// `[grpc]`
    Grpc { listen: SocketAddr, workers: usize, drain: TimeDelta, }
}
section! {
    /// `[database]`
    Database { url: Secret<String>, max_connections: u32, migrate: bool, }
}
section! {
    /// `[cache]`
    CacheConfig { url: Secret<String>, key_prefix: String, }
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
    RevocationConfig { bound: TimeDelta, reconcile_every: TimeDelta, }
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
    /// `[limits]`
    Limits {
        codes_per_network: Limit,
        codes_per_identifier: Limit,
        codes_per_prefix: Limit,
        codes_in_all: Limit,
        anonymous_per_network: Limit,
    }
}
section! {
    /// `[notify]`
    Notify { sms: Route, email: Route, queue: usize, senders: usize, webhook: Webhook, }
}
section! {
    /// `[notify.webhook]`
    Webhook { url: String, secret: Secret<String>, timeout: TimeDelta, }
}
section! {
    /// `[purge]`
    Purge { every: TimeDelta, event_retention: TimeDelta, }
}
section! {
    /// `[log]`
    Log { json: bool, filter: String, }
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many times
    pub count: u64,
    /// within how long.
    pub per: TimeDelta,
}

/// How messages of one channel leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Not at all: the channel is not offered.
    None,
    /// Into the log.
    Console,
    /// To an HTTP endpoint.
    Webhook,
}

impl std::str::FromStr for Route {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "none" => Ok(Self::None),
            "console" => Ok(Self::Console),
            "webhook" => Ok(Self::Webhook),
            _ => Err("must be `console`, `webhook` or `none`"),
        }
    }
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
        Self::read(Settings::gather(file, environment))
    }

    fn read(mut settings: Settings) -> Result<Self, ConfigError> {
        let config = read(&mut settings);
        if let Some(config) = &config {
            check(config, &mut settings);
        }
        match config {
            Some(config) if settings.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(settings.problems)),
        }
    }
}

/// Reads each setting by itself. Every read is made before any is judged, so that all problems are found at once: that is
/// why each section is read to its end before the first `?`.
fn read(s: &mut Settings) -> Option<Config> {
    let profile = choice(s, "profile", &[("development", Profile::Development), ("production", Profile::Production)]);
    let grpc = read_grpc(s);
    let http_listen = address(s, "http.listen");
    let database = read_database(s);
    let cache_url = s.secret("cache.url");
    let cache = CacheConfig { url: cache_url.into(), key_prefix: s.text("cache.key_prefix").to_owned() };
    let root_key = root_key(s, "secrets.root_key");
    let previous_root_key = self::root_key(s, "secrets.previous_root_key");
    let token = read_token(s);
    let keys = read_keys(s);
    let session = read_session(s);
    let revocation = read_revocation(s);
    let accounts = read_accounts(s);
    let otp = read_otp(s);
    let limits = read_limits(s);
    let notify = read_notify(s);
    let purge = read_purge(s);
    let log = read_log(s);
    Some(Config {
        profile: profile?,
        grpc: grpc?,
        http_listen: http_listen?,
        database: database?,
        cache,
        root_key: root_key?,
        previous_root_key: previous_root_key?,
        token: token?,
        keys: keys?,
        session: session?,
        revocation: revocation?,
        accounts: accounts?,
        otp: otp?,
        limits: limits?,
        notify: notify?,
        purge: purge?,
        log: log?,
    })
}

fn read_grpc(s: &mut Settings) -> Option<Grpc> {
    let listen = address(s, "grpc.listen");
    let workers = s.number("grpc.workers", 0..=1024);
    let drain = span(s, "grpc.drain", "0s", "1h");
    Some(Grpc { listen: listen?, workers: workers?, drain: drain? })
}

fn read_database(s: &mut Settings) -> Option<Database> {
    let url = s.secret("database.url");
    let max_connections = s.number("database.max_connections", 1..=1000);
    Some(Database { url: url.into(), max_connections: max_connections?, migrate: s.flag("database.migrate") })
}

fn read_token(s: &mut Settings) -> Option<Token> {
    let access_lifetime = span(s, "token.access_lifetime", "10s", "24h");
    let anonymous_lifetime = span(s, "token.anonymous_lifetime", "10s", "30d");
    let leeway = span(s, "token.leeway", "0s", "5s");
    let remembered = s.number("token.remembered", 0..=100_000_000);
    Some(Token {
        issuer: s.text("token.issuer").to_owned(),
        audience: s.list("token.audience"),
        client_id: s.text("token.client_id").to_owned(),
        scopes: s.list("token.scopes"),
        anonymous_scopes: s.list("token.anonymous_scopes"),
        access_lifetime: access_lifetime?,
        anonymous_lifetime: anonymous_lifetime?,
        leeway: leeway?,
        remembered: remembered?,
    })
}

fn read_keys(s: &mut Settings) -> Option<Keys> {
    let algorithm = s.parsed("keys.algorithm");
    let rotate_every = span(s, "keys.rotate_every", "1h", "3650d");
    let jwks_lifetime = span(s, "keys.jwks_lifetime", "1s", "1d");
    Some(Keys { algorithm: algorithm?, rotate_every: rotate_every?, jwks_lifetime: jwks_lifetime? })
}

fn read_session(s: &mut Settings) -> Option<SessionConfig> {
    let idle_lifetime = span(s, "session.idle_lifetime", "1m", "3650d");
    let absolute_lifetime = span(s, "session.absolute_lifetime", "1m", "3650d");
    let grace = span(s, "session.grace", "0s", "5m");
    Some(SessionConfig { idle_lifetime: idle_lifetime?, absolute_lifetime: absolute_lifetime?, grace: grace? })
}

fn read_revocation(s: &mut Settings) -> Option<RevocationConfig> {
    let bound = span(s, "revocation.bound", "1s", "1m");
    let reconcile_every = span(s, "revocation.reconcile_every", "50ms", "30s");
    Some(RevocationConfig { bound: bound?, reconcile_every: reconcile_every? })
}

fn read_accounts(s: &mut Settings) -> Option<Accounts> {
    let default_region = s.parsed("accounts.default_region");
    Some(Accounts { open_registration: s.flag("accounts.open_registration"), default_region: default_region? })
}

fn read_otp(s: &mut Settings) -> Option<Otp> {
    let length = s.number("otp.length", 4..=10);
    let lifetime = span(s, "otp.lifetime", "30s", "1h");
    let guesses = s.number("otp.guesses", 1..=10);
    let resend_after = span(s, "otp.resend_after", "0s", "1h");
    let messages = s.number("otp.messages", 1..=10);
    Some(Otp {
        length: length?,
        lifetime: lifetime?,
        guesses: guesses?,
        resend_after: resend_after?,
        messages: messages?,
    })
}

fn read_limits(s: &mut Settings) -> Option<Limits> {
    let codes_per_network = limit(s, "limits.codes_per_network");
    let codes_per_identifier = limit(s, "limits.codes_per_identifier");
    let codes_per_prefix = limit(s, "limits.codes_per_prefix");
    let codes_in_all = limit(s, "limits.codes_in_all");
    let anonymous_per_network = limit(s, "limits.anonymous_per_network");
    Some(Limits {
        codes_per_network: codes_per_network?,
        codes_per_identifier: codes_per_identifier?,
        codes_per_prefix: codes_per_prefix?,
        codes_in_all: codes_in_all?,
        anonymous_per_network: anonymous_per_network?,
    })
}

fn read_notify(s: &mut Settings) -> Option<Notify> {
    let sms = s.parsed("notify.sms");
    let email = s.parsed("notify.email");
    let queue = s.number("notify.queue", 1..=1_000_000);
    let senders = s.number("notify.senders", 1..=1024);
    let timeout = span(s, "notify.webhook.timeout", "100ms", "1m");
    let secret = s.secret("notify.webhook.secret").into();
    let url = s.text("notify.webhook.url").to_owned();
    let webhook = Webhook { url, secret, timeout: timeout? };
    Some(Notify { sms: sms?, email: email?, queue: queue?, senders: senders?, webhook })
}

fn read_purge(s: &mut Settings) -> Option<Purge> {
    let every = span(s, "purge.every", "1m", "7d");
    let event_retention = span(s, "purge.event_retention", "1d", "3650d");
    Some(Purge { every: every?, event_retention: event_retention? })
}

fn read_log(s: &mut Settings) -> Option<Log> {
    let json = choice(s, "log.format", &[("text", false), ("json", true)]);
    Some(Log { json: json?, filter: s.text("log.filter").to_owned() })
}

const SCOPE: &str = "must be scope names as RFC 6749 §3.3 allows them";
const CONSOLE: &str = "codes in the log are for development; production needs `webhook`, or `none`";

/// What settings must be in sight of one another, and of the profile.
fn check(config: &Config, s: &mut Settings) {
    let mut expect = |holds: bool, setting: &str, fault: &str| {
        if !holds {
            s.fault(setting, fault.to_owned());
        }
    };
    let issuer = config.token.issuer.as_str();
    let is_url = issuer.starts_with("https://") || issuer.starts_with("http://");
    expect(is_url && !issuer.contains(['?', '#', ' ']), "token.issuer", "must be a URL without query or fragment");
    expect(!config.token.audience.is_empty(), "token.audience", "must name at least one audience");
    expect(!config.token.client_id.is_empty(), "token.client_id", "must not be empty");
    let is_scope = |scope: &String| {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        !scope.is_empty() && scope.bytes().all(allowed)
    };
    expect(config.token.scopes.iter().all(is_scope), "token.scopes", SCOPE);
    expect(config.token.anonymous_scopes.iter().all(is_scope), "token.anonymous_scopes", SCOPE);
    expect(
        config.session.idle_lifetime <= config.session.absolute_lifetime,
        "session.idle_lifetime",
        "must not be longer than session.absolute_lifetime",
    );
    expect(
        config.token.access_lifetime <= config.session.idle_lifetime,
        "token.access_lifetime",
        "must not be longer than session.idle_lifetime",
    );
    expect(
        config.revocation.reconcile_every * 2 <= config.revocation.bound,
        "revocation.reconcile_every",
        "must be at most half of revocation.bound, so that one late answer is not one too many",
    );
    let plain_key = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let prefix = config.cache.key_prefix.as_bytes();
    expect(
        !prefix.is_empty() && prefix.iter().copied().all(plain_key),
        "cache.key_prefix",
        "must be letters, digits, `-`, `_` and `.`",
    );
    let uses_webhook = [config.notify.sms, config.notify.email].contains(&Route::Webhook);
    let webhook = config.notify.webhook.url.as_str();
    expect(
        !uses_webhook || webhook.starts_with("http://") || webhook.starts_with("https://"),
        "notify.webhook.url",
        "must be a URL, since messages are to be sent there",
    );
    if config.profile == Profile::Production {
        check_for_production(config, &mut expect);
    }
}

fn check_for_production(config: &Config, expect: &mut impl FnMut(bool, &str, &str)) {
    let database = config.database.url.expose();
    expect(
        !database.starts_with("sqlite:"),
        "database.url",
        "the embedded database is for development; production needs postgres://",
    );
    expect(
        !config.cache.url.expose().starts_with("memory:"),
        "cache.url",
        "the embedded cache is for development; production needs redis://",
    );
    expect(config.notify.sms != Route::Console, "notify.sms", CONSOLE);
    expect(config.notify.email != Route::Console, "notify.email", CONSOLE);
    expect(
        config.root_key.is_some(),
        "secrets.root_key",
        "a generated key is for development; production needs one of its own (`openssl rand -base64 32`)",
    );
    expect(
        config.token.issuer.starts_with("https://"),
        "token.issuer",
        "production needs https://, because clients fetch keys from there",
    );
}

fn choice<T: Copy>(settings: &mut Settings, name: &str, choices: &[(&str, T)]) -> Option<T> {
    let chosen = choices.iter().find(|(word, _)| *word == settings.text(name)).map(|(_, choice)| *choice);
    if chosen.is_none() {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("`{word}`")).collect();
        settings.fault(name, format!("must be {}", words.join(" or ")));
    }
    chosen
}

fn address(settings: &mut Settings, name: &str) -> Option<SocketAddr> {
    let parsed = settings.text(name).parse().ok();
    if parsed.is_none() {
        settings.fault(name, "must be an IP address and a port, such as 127.0.0.1:50051".to_owned());
    }
    parsed
}

fn span(settings: &mut Settings, name: &str, least: &str, most: &str) -> Option<TimeDelta> {
    let span = settings.parsed::<Span>(name)?;
    let bounds = least.parse::<Span>().ok()?..=most.parse::<Span>().ok()?;
    if !bounds.contains(&span) {
        settings.fault(name, format!("must be from {least} to {most}"));
        return None;
    }
    Some(span.into())
}

fn limit(settings: &mut Settings, name: &str) -> Option<Limit> {
    let count = settings.number(&format!("{name}.count"), 1..=i64::from(u32::MAX));
    let per = span(settings, &format!("{name}.per"), "1s", "30d");
    Some(Limit { count: count?, per: per? })
}

/// The outer option tells whether the setting is sound, the inner one whether it is set.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
fn root_key(settings: &mut Settings, name: &str) -> Option<Option<RootKey>> {
    let text = settings.secret(name);
    if text.is_empty() {
        return Some(None);
    }
    match RootKey::parse(&text) {
        Ok(key) => Some(Some(key)),
        Err(error) => {
            let from_file = !settings.text(&format!("{name}_file")).is_empty();
            let setting = if from_file { format!("{name}_file") } else { name.to_owned() };
            settings.fault(&setting, error.to_string());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::read(Settings::gather(Some(("test.toml", file)), variables))
    }

    #[test]
    fn the_defaults_are_sound() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.profile, Profile::Development);
        assert_eq!(config.token.access_lifetime, TimeDelta::minutes(5));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let file = "[grpc]\nworkers = 3\n[token]\naudience = ['a', 'b']\n";
        let config =
            load(file, &[("COUNTERSIGN__GRPC__WORKERS", "5"), ("COUNTERSIGN__TOKEN__SCOPES", "x, y")]).unwrap();
        assert_eq!(config.grpc.workers, 5);
        assert_eq!(config.token.audience, ["a", "b"]);
        assert_eq!(config.token.scopes, ["x", "y"]);
    }

    #[test]
    fn all_problems_are_reported_at_once_with_their_source() {
        let file = "[grpc]\nworkers = 'many'\nnonsense = 1\n[session]\ngrace = '10 minutes'\n";
        let problems = load(file, &[("COUNTERSIGN__HTTP__LISTEN", "nowhere"), ("COUNTERSIGN__NO__SUCH", "1")]);
        insta::assert_snapshot!(problems.unwrap_err().to_string(), @r"
        - grpc.nonsense (file test.toml): there is no such setting
        - grpc.workers (file test.toml): must be a whole number, not a text
        - no.such (environment variable COUNTERSIGN__NO__SUCH): there is no such setting
        - http.listen (environment variable COUNTERSIGN__HTTP__LISTEN): must be an IP address and a port, such as 127.0.0.1:50051
        - session.grace (file test.toml): must be a number and a unit: ms, s, m, h or d
        ");
    }

    #[test]
    fn production_refuses_every_development_setting() {
        let problems = load("profile = 'production'", &[]).unwrap_err().0;
        let settings: Vec<_> = problems.iter().map(|problem| problem.setting.as_str()).collect();
        assert_eq!(
            settings,
            ["database.url", "cache.url", "notify.sms", "notify.email", "secrets.root_key", "token.issuer"]
        );
    }

    #[test]
    fn a_secret_can_come_from_a_file_and_a_bad_one_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        let key = RootKey::generate();
        std::fs::write(file.path(), format!("{}\n", key.to_base64().expose())).unwrap();
        let config = load("", &[("COUNTERSIGN__SECRETS__ROOT_KEY_FILE", &path)]).unwrap();
        assert_eq!(config.root_key, Some(key));

        std::fs::write(file.path(), "rubbish").unwrap();
        let problems = load("", &[("COUNTERSIGN__SECRETS__ROOT_KEY_FILE", &path)]).unwrap_err().0;
        assert_eq!(problems[0].setting, "secrets.root_key_file");
        assert!(!problems[0].to_string().contains("rubbish"));
    }
}
