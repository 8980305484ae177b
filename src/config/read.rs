//! From settings to the configuration: each is read by itself, then held against the others and the profile.

use std::net::SocketAddr;

use chrono::TimeDelta;

use super::secrets::Source;
use super::source::Settings;
use super::span::Span;
use super::{
    Accounts, CacheConfig, Config, Database, Grpc, Keys, Limit, Log, Otp, Profile, RevocationConfig, SessionConfig,
    Token, cookies, events, identity, jobs, limits, load, nextcloud, notify, password, sign_in, telemetry, tls, web,
    webhooks,
};
use crate::root_key::RootKey;

/// Reads each setting by itself. Every read is made before any is judged, so that all problems are found at once: that is
/// why each section is read to its end before the first `?`.
pub(super) fn config(s: &mut Settings) -> Option<Config> {
    let profile = choice(s, "profile", &[("development", Profile::Development), ("production", Profile::Production)]);
    let grpc = self::grpc(s);
    let http_listen = address(s, "http.listen");
    let tls = tls::read(s);
    let database = self::database(s);
    let cache = self::cache(s);
    let root_key = root_key(s, "secrets.root_key");
    let previous_root_key = self::root_key(s, "secrets.previous_root_key");
    let reload_secrets_every = span(s, "secrets.reload_every", "1s", "1d");
    let token = self::token(s);
    let keys = self::keys(s);
    let session = self::session(s);
    let revocation = self::revocation(s);
    let accounts = self::accounts(s);
    let otp = self::otp(s);
    let sign_in = sign_in::read(s);
    let cookies = cookies::read(s);
    let web = web::read(s);
    let password = password::read(s);
    let limits = limits::read(s);
    let load = load::read(s);
    let callers = load::read_callers(s);
    let identity = identity::read(s);
    let notify = notify::read(s);
    let events = events::read(s);
    let webhooks = webhooks::read(s);
    let nextcloud = nextcloud::read(s);
    let purge = jobs::purge(s);
    let jobs = jobs::jobs(s);
    let log = self::log(s);
    let telemetry = telemetry::read(s);
    Some(Config {
        profile: profile?,
        grpc: grpc?,
        http_listen: http_listen?,
        tls: tls?,
        database: database?,
        cache: cache?,
        root_key: root_key?,
        previous_root_key: previous_root_key?,
        reload_secrets_every: reload_secrets_every?,
        token: token?,
        keys: keys?,
        session: session?,
        revocation: revocation?,
        accounts: accounts?,
        otp: otp?,
        sign_in: sign_in?,
        cookies: cookies?,
        web,
        password: password?,
        limits: limits?,
        load: load?,
        callers: callers?,
        notify: notify?,
        identity: identity?,
        events: events?,
        webhooks: webhooks?,
        nextcloud: nextcloud?,
        purge: purge?,
        jobs: jobs?,
        log: log?,
        telemetry: telemetry?,
        secret_files: std::mem::take(&mut s.secret_files),
        source: Source::default(),
    })
}

fn grpc(s: &mut Settings) -> Option<Grpc> {
    let listen = address(s, "grpc.listen");
    let workers = s.number("grpc.workers", 0..=1024);
    let drain_delay = span(s, "grpc.drain_delay", "0s", "10m");
    let drain = span(s, "grpc.drain", "0s", "1h");
    Some(Grpc { listen: listen?, workers: workers?, drain_delay: drain_delay?, drain: drain? })
}

fn database(s: &mut Settings) -> Option<Database> {
    let url = s.secret("database.url");
    let max_connections = s.number("database.max_connections", 1..=1000);
    Some(Database { url: url.into(), max_connections: max_connections?, migrate: s.flag("database.migrate") })
}

fn cache(s: &mut Settings) -> Option<CacheConfig> {
    let url = s.secret("cache.url");
    let timeout = span(s, "cache.timeout", "5ms", "10s");
    let (ca_file, key_prefix) = (s.text("cache.ca_file").to_owned(), s.text("cache.key_prefix").to_owned());
    Some(CacheConfig { url: url.into(), ca_file, key_prefix, timeout: timeout? })
}

fn token(s: &mut Settings) -> Option<Token> {
    let access_lifetime = span(s, "token.access_lifetime", "10s", "24h");
    let anonymous_lifetime = span(s, "token.anonymous_lifetime", "10s", "30d");
    let leeway = span(s, "token.leeway", "0s", "5s");
    if leeway.is_some_and(|leeway| leeway.subsec_nanos() != 0) {
        s.fault("token.leeway", "must be whole seconds".to_owned());
    }
    let remembered = s.number("token.remembered", 0..=100_000_000);
    let claims = super::claims::read(s);
    let max_bytes = s.number("token.max_bytes", 1024..=8192);
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
        claims,
        max_bytes: max_bytes?,
    })
}

fn keys(s: &mut Settings) -> Option<Keys> {
    let algorithm = s.parsed("keys.algorithm");
    let rotate_every = span(s, "keys.rotate_every", "1h", "3650d");
    let jwks_lifetime = span(s, "keys.jwks_lifetime", "1s", "1d");
    Some(Keys { algorithm: algorithm?, rotate_every: rotate_every?, jwks_lifetime: jwks_lifetime? })
}

fn session(s: &mut Settings) -> Option<SessionConfig> {
    let idle_lifetime = span(s, "session.idle_lifetime", "1m", "3650d");
    let absolute_lifetime = span(s, "session.absolute_lifetime", "1m", "3650d");
    let grace = span(s, "session.grace", "0s", "5m");
    Some(SessionConfig { idle_lifetime: idle_lifetime?, absolute_lifetime: absolute_lifetime?, grace: grace? })
}

fn revocation(s: &mut Settings) -> Option<RevocationConfig> {
    let bound = span(s, "revocation.bound", "1s", "1m");
    let reconcile_every = span(s, "revocation.reconcile_every", "50ms", "30s");
    let watchers = s.number("revocation.watchers", 0..=1_000_000);
    Some(RevocationConfig { bound: bound?, reconcile_every: reconcile_every?, watchers: watchers? })
}

fn accounts(s: &mut Settings) -> Option<Accounts> {
    let default_region = s.parsed("accounts.default_region");
    Some(Accounts { open_registration: s.flag("accounts.open_registration"), default_region: default_region? })
}

fn otp(s: &mut Settings) -> Option<Otp> {
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

fn log(s: &mut Settings) -> Option<Log> {
    let json = choice(s, "log.format", &[("text", false), ("json", true)]);
    Some(Log { json: json?, filter: s.text("log.filter").to_owned() })
}

const SCOPE: &str = "must be scope names as RFC 6749 §3.3 allows them";

/// What settings must be in sight of one another, and of the profile.
pub(super) fn check(config: &Config, s: &mut Settings) {
    identity::check(config, s);
    password::check(&config.password, config.profile, s);
    notify::check(config, s);
    telemetry::check(config, s);
    nextcloud::check(config, s);
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

pub(super) fn choice<T: Copy>(settings: &mut Settings, name: &str, choices: &[(&str, T)]) -> Option<T> {
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

pub(super) fn span(settings: &mut Settings, name: &str, least: &str, most: &str) -> Option<TimeDelta> {
    let span = settings.parsed::<Span>(name)?;
    let bounds = least.parse::<Span>().ok()?..=most.parse::<Span>().ok()?;
    if !bounds.contains(&span) {
        settings.fault(name, format!("must be from {least} to {most}"));
        return None;
    }
    Some(span.into())
}

pub(super) fn limit(settings: &mut Settings, name: &str) -> Option<Limit> {
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
