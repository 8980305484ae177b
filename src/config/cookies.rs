//! `[cookies]`: whether browsers are given their tokens in cookies.

use super::source::Settings;

section! {
    /// `[cookies]`
    Cookies {
        set_cookies: bool,
        /// Name of the cookie with the access token.
        access: String,
        /// Name of the cookie with the refresh token.
        refresh: String,
        same_site: SameSite,
    }
}

/// With which requests from other sites a browser sends the cookies along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With none but a link that the person follows.
    Lax,
}

impl SameSite {
    /// The word in the cookie's attribute.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
        }
    }
}

impl std::str::FromStr for SameSite {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "strict" => Ok(Self::Strict),
            "lax" => Ok(Self::Lax),
            _ => Err("must be `strict` or `lax`; with `none`, any site could act for a person who is signed in"),
        }
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Cookies> {
    let same_site = s.parsed("cookies.same_site");
    let name = s.text("cookies.name").to_owned();
    let is_token = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !is_token {
        s.fault("cookies.name", "must be letters, digits, `-` and `_`".to_owned());
        return None;
    }
    // The prefix makes browsers insist on Secure, on the path `/` and on this very host (RFC 6265bis §4.1.3.2).
    let [access, refresh] = ["access", "refresh"].map(|kind| format!("__Host-{name}-{kind}"));
    Some(Cookies { set_cookies: s.flag("cookies.set_cookies"), access, refresh, same_site: same_site? })
}
