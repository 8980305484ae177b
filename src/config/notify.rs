//! `[notify]`: by which ways messages leave, and what each of them needs.

use chrono::TimeDelta;

use super::read::{choice, span};
use super::source::Settings;
use super::{Config, Profile, url};
use crate::model::{EmailAddress, Locale, Purpose};
use crate::secret::Secret;

section! {
    /// `[notify]`
    Notify {
        app_name: String,
        sms: Route,
        sms_fallback: Route,
        email: Route,
        email_fallback: Route,
        default_locale: Locale,
        templates: String,
        autofill_domain: String,
        queue: usize,
        senders: usize,
        failures: u32,
        open_for: TimeDelta,
        webhook: Webhook,
        kavenegar: Kavenegar,
        twilio: Twilio,
        smtp: Smtp,
    }
}
section! {
    /// `[notify.webhook]`
    Webhook { url: String, secret: Secret<String>, timeout: TimeDelta, }
}
section! {
    /// `[notify.kavenegar]`
    Kavenegar { url: String, api_key: Secret<String>, sender: String, templates: Lookups, timeout: TimeDelta, }
}
section! {
    /// `[notify.kavenegar.templates]`
    Lookups {
        sign_in: String,
        register: String,
        reset_password: String,
        change_identifier: String,
        delete_account: String,
    }
}
section! {
    /// `[notify.twilio]`
    Twilio {
        url: String,
        account_sid: String,
        api_key_sid: String,
        auth_token: Secret<String>,
        from: String,
        messaging_service_sid: String,
        timeout: TimeDelta,
    }
}
section! {
    /// `[notify.smtp]`
    Smtp {
        host: String,
        port: u16,
        tls: SmtpTls,
        ca_file: String,
        username: String,
        password: Secret<String>,
        from_address: String,
        from_name: String,
        timeout: TimeDelta,
        connections: usize,
    }
}

impl Notify {
    /// The same settings with the secrets that others hold.
    #[must_use]
    pub fn with_secrets_of(&self, other: &Self) -> Self {
        let mut new = self.clone();
        new.webhook.secret = other.webhook.secret.clone();
        new.kavenegar.api_key = other.kavenegar.api_key.clone();
        new.twilio.auth_token = other.twilio.auth_token.clone();
        new.smtp.password = other.smtp.password.clone();
        new
    }
}

impl Lookups {
    /// The template for codes of a purpose; empty where there is none.
    #[must_use]
    pub fn of(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::SignIn => &self.sign_in,
            Purpose::Register => &self.register,
            Purpose::ResetPassword => &self.reset_password,
            Purpose::ChangeIdentifier => &self.change_identifier,
            Purpose::DeleteAccount => &self.delete_account,
        }
    }
}

/// How messages of one channel leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Not at all.
    None,
    /// Into the log.
    Console,
    /// To an HTTP endpoint.
    Webhook,
    /// By Kavenegar.
    Kavenegar,
    /// By Twilio.
    Twilio,
    /// To a mail server.
    Smtp,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// It begins in the clear and changes over (RFC 3207), or is given up.
    Starttls,
    /// From the first byte (RFC 8314).
    Tls,
    /// Not at all.
    None,
}

const BY_SMS: &[(&str, Route)] = &[
    ("kavenegar", Route::Kavenegar),
    ("twilio", Route::Twilio),
    ("webhook", Route::Webhook),
    ("console", Route::Console),
    ("none", Route::None),
];
const BY_EMAIL: &[(&str, Route)] =
    &[("smtp", Route::Smtp), ("webhook", Route::Webhook), ("console", Route::Console), ("none", Route::None)];

pub(super) fn read(s: &mut Settings) -> Option<Notify> {
    let sms = choice(s, "notify.sms", BY_SMS);
    let sms_fallback = fallback(s, "notify.sms_fallback", BY_SMS);
    let email = choice(s, "notify.email", BY_EMAIL);
    let email_fallback = fallback(s, "notify.email_fallback", BY_EMAIL);
    let default_locale = s.parsed("notify.default_locale");
    let queue = s.number("notify.queue", 1..=1_000_000);
    let senders = s.number("notify.senders", 1..=1024);
    let failures = s.number("notify.failures", 1..=1000);
    let open_for = span(s, "notify.open_for", "1s", "1h");
    let webhook = webhook(s);
    let kavenegar = kavenegar(s);
    let twilio = twilio(s);
    let smtp = smtp(s);
    Some(Notify {
        app_name: s.text("notify.app_name").to_owned(),
        sms: sms?,
        sms_fallback: sms_fallback?,
        email: email?,
        email_fallback: email_fallback?,
        default_locale: default_locale?,
        templates: s.text("notify.templates").to_owned(),
        autofill_domain: s.text("notify.autofill_domain").to_owned(),
        queue: queue?,
        senders: senders?,
        failures: failures?,
        open_for: open_for?,
        webhook: webhook?,
        kavenegar: kavenegar?,
        twilio: twilio?,
        smtp: smtp?,
    })
}

fn fallback(s: &mut Settings, name: &str, choices: &[(&str, Route)]) -> Option<Route> {
    if s.text(name).is_empty() { Some(Route::None) } else { choice(s, name, choices) }
}

fn webhook(s: &mut Settings) -> Option<Webhook> {
    let timeout = span(s, "notify.webhook.timeout", "100ms", "1m");
    let secret = s.secret("notify.webhook.secret").into();
    Some(Webhook { url: s.text("notify.webhook.url").to_owned(), secret, timeout: timeout? })
}

fn kavenegar(s: &mut Settings) -> Option<Kavenegar> {
    let timeout = span(s, "notify.kavenegar.timeout", "100ms", "1m");
    let api_key = s.secret("notify.kavenegar.api_key").into();
    let lookup = |purpose: &str| s.text(&format!("notify.kavenegar.templates.{purpose}")).to_owned();
    let templates = Lookups {
        sign_in: lookup("sign_in"),
        register: lookup("register"),
        reset_password: lookup("reset_password"),
        change_identifier: lookup("change_identifier"),
        delete_account: lookup("delete_account"),
    };
    let (url, sender) = (s.text("notify.kavenegar.url").to_owned(), s.text("notify.kavenegar.sender").to_owned());
    Some(Kavenegar { url, api_key, sender, templates, timeout: timeout? })
}

fn twilio(s: &mut Settings) -> Option<Twilio> {
    let timeout = span(s, "notify.twilio.timeout", "100ms", "1m");
    let auth_token = s.secret("notify.twilio.auth_token").into();
    let text = |name: &str| s.text(&format!("notify.twilio.{name}")).to_owned();
    Some(Twilio {
        url: text("url"),
        account_sid: text("account_sid"),
        api_key_sid: text("api_key_sid"),
        auth_token,
        from: text("from"),
        messaging_service_sid: text("messaging_service_sid"),
        timeout: timeout?,
    })
}

fn smtp(s: &mut Settings) -> Option<Smtp> {
    let port = s.number("notify.smtp.port", 1..=65_535);
    let choices = [("starttls", SmtpTls::Starttls), ("tls", SmtpTls::Tls), ("none", SmtpTls::None)];
    let tls = choice(s, "notify.smtp.tls", &choices);
    let password = s.secret("notify.smtp.password").into();
    let timeout = span(s, "notify.smtp.timeout", "100ms", "5m");
    let connections = s.number("notify.smtp.connections", 1..=100);
    let text = |name: &str| s.text(&format!("notify.smtp.{name}")).to_owned();
    Some(Smtp {
        host: text("host"),
        port: port?,
        tls: tls?,
        ca_file: text("ca_file"),
        username: text("username"),
        password,
        from_address: text("from_address"),
        from_name: text("from_name"),
        timeout: timeout?,
        connections: connections?,
    })
}

const CONSOLE: &str = "codes in the log are for development; production needs a provider, `webhook`, or `none`";
const LINE: &str = "must be one line without control characters";

/// Only the ways that are used must be set up.
pub(super) fn check(config: &Config, s: &mut Settings) {
    let (notify, profile) = (&config.notify, config.profile);
    let ways = [
        ("notify.sms", notify.sms),
        ("notify.email", notify.email),
        ("notify.sms_fallback", notify.sms_fallback),
        ("notify.email_fallback", notify.email_fallback),
    ];
    for (setting, route) in ways {
        if route == Route::Console && profile == Profile::Production {
            s.fault(setting, CONSOLE.to_owned());
        }
    }
    for (setting, first, second) in [
        ("notify.sms_fallback", notify.sms, notify.sms_fallback),
        ("notify.email_fallback", notify.email, notify.email_fallback),
    ] {
        if second != Route::None && (first == Route::None || first == second) {
            s.fault(setting, "must be another way than the first, and needs one before it".to_owned());
        }
    }
    if notify.app_name.is_empty() || notify.app_name.contains(char::is_control) {
        s.fault("notify.app_name", LINE.to_owned());
    }
    let of_a_domain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    if !notify.autofill_domain.bytes().all(of_a_domain) {
        s.fault("notify.autofill_domain", "must be a domain name, such as example.com".to_owned());
    }
    let uses = |wanted: Route| ways.iter().any(|(_, route)| *route == wanted);
    if uses(Route::Webhook) {
        url::check("notify.webhook.url", &notify.webhook.url, "messages", profile, s);
    }
    if uses(Route::Kavenegar) {
        check_kavenegar(&notify.kavenegar, profile, s);
    }
    if uses(Route::Twilio) {
        check_twilio(&notify.twilio, profile, s);
    }
    if uses(Route::Smtp) {
        check_smtp(&notify.smtp, profile, s);
    }
}

fn check_kavenegar(kavenegar: &Kavenegar, profile: Profile, s: &mut Settings) {
    url::check("notify.kavenegar.url", &kavenegar.url, "messages", profile, s);
    // It becomes a part of the path.
    let key = kavenegar.api_key.expose();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        s.fault("notify.kavenegar.api_key", "must be the API key that Kavenegar's panel shows".to_owned());
    }
}

fn check_twilio(twilio: &Twilio, profile: Profile, s: &mut Settings) {
    url::check("notify.twilio.url", &twilio.url, "messages", profile, s);
    let is_sid = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_sid(&twilio.account_sid) {
        s.fault("notify.twilio.account_sid", "must be the Account SID that Twilio's console shows".to_owned());
    }
    if !twilio.api_key_sid.is_empty() && !is_sid(&twilio.api_key_sid) {
        s.fault("notify.twilio.api_key_sid", "must be the SID of an API key".to_owned());
    }
    if twilio.auth_token.expose().is_empty() {
        s.fault("notify.twilio.auth_token", "must be the auth token, or the secret of the API key".to_owned());
    }
    if twilio.from.is_empty() == twilio.messaging_service_sid.is_empty() {
        s.fault("notify.twilio.from", "set this or notify.twilio.messaging_service_sid, and not both".to_owned());
    }
}

fn check_smtp(smtp: &Smtp, profile: Profile, s: &mut Settings) {
    if smtp.host.is_empty() || !smtp.host.bytes().all(|byte| byte.is_ascii_graphic()) {
        s.fault("notify.smtp.host", "must be the name of a mail server".to_owned());
    }
    if smtp.tls == SmtpTls::None && profile == Profile::Production && !url::is_loopback(&smtp.host) {
        s.fault("notify.smtp.tls", "production needs `starttls` or `tls`, because codes are sent there".to_owned());
    }
    if EmailAddress::parse(&smtp.from_address).is_err() {
        s.fault("notify.smtp.from_address", "must be the mail address that messages come from".to_owned());
    }
    if smtp.from_name.contains(char::is_control) {
        s.fault("notify.smtp.from_name", LINE.to_owned());
    }
    if smtp.username.is_empty() != smtp.password.expose().is_empty() {
        s.fault("notify.smtp.username", "needs notify.smtp.password, and the other way round".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::super::ConfigError;
    use super::*;

    fn load(profile: &str, notify: &str) -> Result<Config, ConfigError> {
        let file = format!("profile = '{profile}'\n[notify]\n{notify}");
        Config::read(Settings::gather(Some(("test.toml", &file)), std::iter::empty()))
    }

    fn faults(profile: &str, notify: &str) -> Vec<String> {
        let problems = load(profile, notify).map_or_else(|error| error.0, |_| Vec::new());
        problems.into_iter().map(|problem| problem.setting).filter(|name| name.starts_with("notify.")).collect()
    }

    #[test]
    fn each_way_that_is_used_names_what_it_lacks() {
        for (notify, lacks) in [
            ("sms = 'kavenegar'", &["notify.kavenegar.api_key"][..]),
            ("sms_fallback = 'kavenegar'", &["notify.kavenegar.api_key"]),
            ("sms = 'twilio'", &["notify.twilio.account_sid", "notify.twilio.auth_token", "notify.twilio.from"]),
            ("email = 'smtp'", &["notify.smtp.host", "notify.smtp.from_address"]),
            ("email = 'webhook'", &["notify.webhook.url"]),
            ("email_fallback = 'smtp'", &["notify.smtp.host", "notify.smtp.from_address"]),
            ("sms = 'smtp'", &["notify.sms"]),
            ("email = 'twilio'", &["notify.email"]),
            ("sms_fallback = 'console'", &["notify.sms_fallback"]),
            ("sms = 'none'\nsms_fallback = 'console'", &["notify.sms_fallback"]),
            ("app_name = \"a\\r\\nBcc: b\"", &["notify.app_name"]),
            ("autofill_domain = 'a b'", &["notify.autofill_domain"]),
            (
                "email = 'smtp'\n[notify.smtp]\nhost = 'h'\nfrom_address = 'a@b.c'\nusername = 'u'",
                &["notify.smtp.username"],
            ),
            (
                "email = 'smtp'\n[notify.smtp]\nhost = 'h'\nfrom_address = \"a@b.c\\nBcc: d@e.f\"\nfrom_name = \"a\\nb\"",
                &["notify.smtp.from_address", "notify.smtp.from_name"],
            ),
            ("sms = 'kavenegar'\n[notify.kavenegar]\napi_key = 'a/../b'", &["notify.kavenegar.api_key"]),
        ] {
            assert_eq!(faults("development", notify), lacks, "{notify}");
        }
    }

    #[test]
    fn production_wants_what_travels_protected() {
        let nothing = "sms = 'none'\nemail = 'none'";
        assert!(faults("production", nothing).is_empty());
        let smtp = |host: &str, tls: &str| {
            format!(
                "sms = 'none'\nemail = 'smtp'\n[notify.smtp]\nhost = '{host}'\ntls = '{tls}'\nfrom_address = 'a@b.c'"
            )
        };
        assert_eq!(faults("production", &smtp("mail.example", "none")), ["notify.smtp.tls"]);
        assert!(faults("production", &smtp("127.0.0.1", "none")).is_empty());
        assert!(faults("production", &smtp("mail.example", "starttls")).is_empty());
        let key = "email = 'none'\nsms = 'kavenegar'\n[notify.kavenegar]\napi_key = 'abc'";
        assert!(faults("production", key).is_empty());
        assert_eq!(faults("production", &format!("{key}\nurl = 'http://sms.example'")), ["notify.kavenegar.url"]);
        assert!(faults("production", &format!("{key}\nurl = 'http://127.0.0.1:8'")).is_empty());
    }
}
