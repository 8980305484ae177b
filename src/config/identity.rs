//! `[identity]`: who is asked whether a national id belongs to a person.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;
use super::{Config, url};
use crate::secret::Secret;

section! {
    /// `[identity]`
    Identity { provider: Provider, failures: u32, open_for: TimeDelta, zibal: Zibal, http: HttpProvider, }
}
section! {
    /// `[identity.zibal]`
    Zibal { url: String, token: Secret<String>, timeout: TimeDelta, }
}
section! {
    /// `[identity.http]`
    HttpProvider { url: String, secret: Secret<String>, timeout: TimeDelta, }
}

impl Identity {
    /// The same settings with the secrets that others hold.
    #[must_use]
    pub fn with_secrets_of(&self, other: &Self) -> Self {
        let mut new = self.clone();
        new.zibal.token = other.zibal.token.clone();
        new.http.secret = other.http.secret.clone();
        new
    }
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Nobody: identities are not verified.
    None,
    /// Zibal.
    Zibal,
    /// An HTTP endpoint of the operator's own.
    Http,
}

impl std::str::FromStr for Provider {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "none" => Ok(Self::None),
            "zibal" => Ok(Self::Zibal),
            "http" => Ok(Self::Http),
            _ => Err("must be `none`, `zibal` or `http`"),
        }
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Identity> {
    let provider = s.parsed("identity.provider");
    let failures = s.number("identity.failures", 1..=1000);
    let open_for = span(s, "identity.open_for", "1s", "1h");
    let zibal_timeout = span(s, "identity.zibal.timeout", "100ms", "1m");
    let token = s.secret("identity.zibal.token").into();
    let http_timeout = span(s, "identity.http.timeout", "100ms", "1m");
    let secret = s.secret("identity.http.secret").into();
    let zibal = Zibal { url: s.text("identity.zibal.url").to_owned(), token, timeout: zibal_timeout? };
    let http = HttpProvider { url: s.text("identity.http.url").to_owned(), secret, timeout: http_timeout? };
    Some(Identity { provider: provider?, failures: failures?, open_for: open_for?, zibal, http })
}

/// Only the provider that is used must be set up.
pub(super) fn check(config: &Config, s: &mut Settings) {
    let identity = &config.identity;
    match identity.provider {
        Provider::None => {}
        Provider::Zibal => {
            url::check("identity.zibal.url", &identity.zibal.url, "national ids", config.profile, s);
            let token = identity.zibal.token.expose();
            if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                s.fault("identity.zibal.token", "must be the access token that Zibal's panel shows".to_owned());
            }
        }
        Provider::Http => url::check("identity.http.url", &identity.http.url, "national ids", config.profile, s),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigError;
    use super::*;

    fn load(profile: &str, identity: &str) -> Result<Config, ConfigError> {
        let file = format!("profile = '{profile}'\n[identity]\n{identity}");
        Config::read(Settings::gather(Some(("test.toml", &file)), std::iter::empty()))
    }

    fn faults(profile: &str, identity: &str) -> Vec<String> {
        let problems = load(profile, identity).map_or_else(|error| error.0, |_| Vec::new());
        problems.into_iter().map(|problem| problem.setting).filter(|name| name.starts_with("identity.")).collect()
    }

    #[test]
    fn nobody_is_asked_by_default_and_zibal_needs_no_more_than_a_token() {
        assert_eq!(load("development", "").unwrap().identity.provider, Provider::None);
        assert_eq!(faults("production", ""), Vec::<String>::new());
        assert_eq!(faults("production", "provider = 'zibal'"), ["identity.zibal.token"]);
        assert_eq!(faults("production", "provider = 'zibal'\nzibal.token = 'a\tb'"), ["identity.zibal.token"]);
        assert_eq!(faults("production", "provider = 'zibal'\nzibal.token = 'token'"), Vec::<String>::new());
        assert_eq!(faults("development", "provider = 'shahkar'"), ["identity.provider"]);
    }

    #[test]
    fn production_sends_national_ids_only_through_tls_or_to_itself() {
        let with = |url| format!("provider = 'http'\nhttp.url = '{url}'");
        let loopback = ["http://127.0.0.1:9/x", "http://[::1]:9/x", "http://localhost/x"];
        for url in ["https://id.example/x", "https://id.example:8443"].iter().chain(&loopback) {
            assert_eq!(faults("production", &with(*url)), Vec::<String>::new(), "{url}");
        }
        let outside = ["http://id.example/x", "http://127.0.0.1@id.example/", "http://localhost.example/"];
        for url in outside {
            assert_eq!(faults("production", &with(url)), ["identity.http.url"], "{url}");
            assert_eq!(faults("development", &with(url)), Vec::<String>::new(), "{url}");
        }
        for url in ["", "id.example", "/x", "ftp://id.example", "https://", "https://id example"] {
            assert_eq!(faults("development", &with(url)), ["identity.http.url"], "{url}");
        }
    }
}
