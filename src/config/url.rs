//! Where secrets and people's data are sent to: URLs that must be safe in production.

use std::net::IpAddr;

use super::Profile;
use super::source::Settings;

/// Wants a URL; in production an `https://` one, unless it leads to this machine. `what` is sent there.
pub(super) fn check(setting: &str, text: &str, what: &str, profile: Profile, s: &mut Settings) {
    let fault = match text.parse::<http::Uri>().ok().as_ref().and_then(|url| Some((url.scheme_str()?, url.host()?))) {
        Some(("https", _)) => return,
        Some(("http", host)) if profile == Profile::Development || is_loopback(host) => return,
        Some(("http", _)) => format!("production needs https://, because {what} are sent there"),
        _ => format!("must be a URL, since {what} are to be sent there"),
    };
    s.fault(setting, fault);
}

/// Whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
