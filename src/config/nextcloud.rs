//! `[nextcloud]`: where people whose identity is verified get a user of their own.

use chrono::TimeDelta;

use super::read::{choice, span};
use super::source::Settings;
use super::{Config, url};
use crate::model::AccountId;
use crate::secret::Secret;

section! {
    /// `[nextcloud]`
    Nextcloud {
        enabled: bool,
        url: String,
        username: String,
        password: Secret<String>,
        ca_file: String,
        timeout: TimeDelta,
        failures: u32,
        open_for: TimeDelta,
        in_flight: usize,
        user_id: UserIdPattern,
        display_name: DisplayName,
        send_email: bool,
        quota: String,
        groups: Vec<String>,
        /// From the outermost folder to the innermost; empty where there is to be none.
        home_folder: Vec<String>,
        on_deletion: OnDeletion,
    }
}

/// What a user is called for others to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplayName {
    /// Nothing is said; Nextcloud shows the user's identifier.
    None,
    /// By the names that the person goes by here.
    Names,
    /// By the name that an identity provider confirmed.
    Verified,
}

/// What becomes of a user whose account is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeletion {
    /// It can no longer be used; the documents stay.
    Disable,
    /// It is deleted with its documents.
    Delete,
    /// Nothing.
    Keep,
}

/// How the identifier of a user is made of the account's: the one thing about a person that never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserIdPattern {
    before: String,
    has_hyphens: bool,
    after: String,
}

impl UserIdPattern {
    /// The longest identifier that Nextcloud takes.
    const LONGEST: usize = 64;

    /// The identifier of the user that belongs to an account.
    #[must_use]
    pub fn of(&self, account: AccountId) -> String {
        let Self { before, has_hyphens, after } = self;
        if *has_hyphens {
            format!("{before}{account}{after}")
        } else {
            format!("{before}{}{after}", account.0.simple())
        }
    }
}

impl std::str::FromStr for UserIdPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const SHAPE: &str = "must hold `{account_id}` or `{account_id_hex}` once, and beside it letters, digits, `_`, `.`, \
                             `@` and `-`; at most 64 characters in all";
        let split = |name| text.split_once(name);
        let ((before, after), has_hyphens) = split("{account_id}")
            .map(|around| (around, true))
            .or_else(|| split("{account_id_hex}").map(|around| (around, false)))
            .ok_or(SHAPE)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
        let length = before.len() + after.len() + if has_hyphens { 36 } else { 32 };
        if length > Self::LONGEST || !before.bytes().chain(after.bytes()).all(plain) {
            return Err(SHAPE);
        }
        Ok(Self { before: before.to_owned(), has_hyphens, after: after.to_owned() })
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Nextcloud> {
    let text = |s: &Settings, name: &str| s.text(&format!("nextcloud.{name}")).to_owned();
    let password = s.secret("nextcloud.password").into();
    let timeout = span(s, "nextcloud.timeout", "100ms", "2m");
    let failures = s.number("nextcloud.failures", 1..=1000);
    let open_for = span(s, "nextcloud.open_for", "1s", "1h");
    let in_flight = s.number("nextcloud.in_flight", 1..=100);
    let user_id = s.parsed("nextcloud.user_id");
    let names = [("none", DisplayName::None), ("names", DisplayName::Names), ("verified", DisplayName::Verified)];
    let display_name = choice(s, "nextcloud.display_name", &names);
    let fates = [("disable", OnDeletion::Disable), ("delete", OnDeletion::Delete), ("keep", OnDeletion::Keep)];
    let on_deletion = choice(s, "nextcloud.on_deletion", &fates);
    let folders = text(s, "home_folder");
    Some(Nextcloud {
        enabled: s.flag("nextcloud.enabled"),
        url: text(s, "url"),
        username: text(s, "username"),
        password,
        ca_file: text(s, "ca_file"),
        timeout: timeout?,
        failures: failures?,
        open_for: open_for?,
        in_flight: in_flight?,
        user_id: user_id?,
        display_name: display_name?,
        send_email: s.flag("nextcloud.send_email"),
        quota: text(s, "quota"),
        groups: s.list("nextcloud.groups"),
        home_folder: folders.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        on_deletion: on_deletion?,
    })
}

/// Only one that is used must be set up.
pub(super) fn check(config: &Config, s: &mut Settings) {
    let nextcloud = &config.nextcloud;
    if !nextcloud.enabled {
        return;
    }
    url::check("nextcloud.url", &nextcloud.url, "passwords and people's names", config.profile, s);
    let mut expect = |holds: bool, setting: &str, fault: &str| {
        if !holds {
            s.fault(setting, fault.to_owned());
        }
    };
    let carries_more = nextcloud.url.contains(['?', '#', '@']);
    expect(!carries_more, "nextcloud.url", "must be the address of Nextcloud, without user, query or fragment");
    let username = &nextcloud.username;
    let is_username = !username.is_empty() && !username.contains(':') && !username.contains(char::is_control);
    expect(is_username, "nextcloud.username", "must be an administrator of Nextcloud");
    let password = nextcloud.password.expose();
    let is_password = !password.is_empty() && !password.contains(char::is_control);
    expect(is_password, "nextcloud.password", "must be the administrator's password, or a password for apps");
    expect(is_quota(&nextcloud.quota), "nextcloud.quota", "must be a size such as `5 GB`, `none`, `default` or empty");
    let is_group = |group: &String| (1..=64).contains(&group.chars().count());
    expect(nextcloud.groups.iter().all(is_group), "nextcloud.groups", "must be names of up to 64 characters");
    let makes_administrators = nextcloud.groups.iter().any(|group| group == "admin");
    expect(!makes_administrators, "nextcloud.groups", "must not hold `admin`: everybody would administer Nextcloud");
    let forbidden = |name: &String| {
        name.starts_with('.')
            || name.len() > 200
            || name.contains(['\\', ':', '*', '?', '"', '<', '>', '|'])
            || name.contains(char::is_control)
    };
    expect(
        !nextcloud.home_folder.iter().any(forbidden),
        "nextcloud.home_folder",
        "must be names of folders with `/` between, none of which begins with a dot or holds a special character",
    );
}

/// Whether Nextcloud reads this as a size.
fn is_quota(text: &str) -> bool {
    if ["", "none", "default"].contains(&text) {
        return true;
    }
    let digits = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    number.parse::<f64>().is_ok() && ["", "b", "kb", "mb", "gb", "tb", "pb"].contains(&unit.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::ConfigError;
    use super::*;

    const SOUND: &str =
        "enabled = true\nurl = 'https://cloud.example'\nusername = 'countersign'\npassword = 'secret'\n";

    fn load(profile: &str, nextcloud: &str) -> Result<Config, ConfigError> {
        let file = format!("profile = '{profile}'\n[nextcloud]\n{nextcloud}");
        Config::read(Settings::gather(Some(("test.toml", &file)), std::iter::empty()))
    }

    fn faults(profile: &str, nextcloud: &str) -> Vec<String> {
        let problems = load(profile, nextcloud).map_or_else(|error| error.0, |_| Vec::new());
        problems.into_iter().map(|problem| problem.setting).filter(|name| name.starts_with("nextcloud.")).collect()
    }

    #[test]
    fn it_is_off_by_default_and_one_that_is_on_must_be_set_up() {
        assert!(!load("development", "").unwrap().nextcloud.enabled);
        assert_eq!(faults("production", "url = 'nowhere'"), Vec::<String>::new());
        let all = ["nextcloud.url", "nextcloud.username", "nextcloud.password"];
        assert_eq!(faults("production", "enabled = true"), all);
        assert_eq!(faults("production", SOUND), Vec::<String>::new());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let wrong = "enabled = true\nurl = 'http://cloud.example'\nusername = 'a:b'\npassword = 'x'\nquota = 'much'\n\
                     groups = ['admin']\nhome_folder = '../x'\n";
        let told = ["url", "username", "quota", "groups", "home_folder"].map(|name| format!("nextcloud.{name}"));
        assert_eq!(faults("production", wrong), told);
        for (name, value) in [
            ("timeout", "'1ms'"),
            ("failures", "0"),
            ("open_for", "'2h'"),
            ("in_flight", "0"),
            ("user_id", "'{phone}'"),
            ("display_name", "'nick'"),
            ("on_deletion", "'burn'"),
        ] {
            assert_eq!(faults("development", &format!("{name} = {value}")), [format!("nextcloud.{name}")], "{name}");
        }
        let credentials = "enabled = true\nurl = 'https://u:p@cloud.example'\nusername = 'a'\npassword = 'x'\n";
        assert_eq!(faults("production", credentials), ["nextcloud.url"]);
    }

    #[test]
    fn a_user_is_named_by_what_never_changes() {
        let account = AccountId("018f0000-0000-7000-8000-00000000000a".parse().unwrap());
        for (pattern, id) in [
            ("{account_id}", "018f0000-0000-7000-8000-00000000000a"),
            ("cs-{account_id_hex}@x", "cs-018f000000007000800000000000000a@x"),
        ] {
            assert_eq!(pattern.parse::<UserIdPattern>().unwrap().of(account), id);
        }
        let long = format!("{}{{account_id}}", "x".repeat(29));
        for bad in ["", "x", "{email}", "{account_id}{account_id}", "a b{account_id}", "/{account_id}", long.as_str()] {
            assert!(bad.parse::<UserIdPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_quota_is_what_nextcloud_reads() {
        for good in ["", "none", "default", "5 GB", "1.5GB", "0", "100 mb"] {
            assert!(is_quota(good), "{good}");
        }
        for bad in ["much", "5 apples", "-1", "GB", "5 GB extra", "1.2.3"] {
            assert!(!is_quota(bad), "{bad}");
        }
    }
}
