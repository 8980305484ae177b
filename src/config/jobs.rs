//! `[purge]` and `[jobs]`: what is done again and again, how often, and who outside may ask for it.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;
use crate::secret::Secret;

section! {
    /// `[purge]`
    Purge {
        /// None where it is left to somebody outside.
        every: Option<TimeDelta>,
        event_retention: TimeDelta,
    }
}
section! {
    /// `[jobs]`
    Jobs {
        rotate_keys_every: Option<TimeDelta>,
        /// None where jobs cannot be asked for over HTTP.
        http_key: Option<Secret<String>>,
    }
}

/// A key shorter than this could be guessed.
const SHORTEST_KEY: usize = 24;

pub(super) fn purge(s: &mut Settings) -> Option<Purge> {
    let every = interval(s, "purge.every", "1s", "7d");
    let event_retention = span(s, "purge.event_retention", "1d", "3650d");
    Some(Purge { every: every?, event_retention: event_retention? })
}

pub(super) fn jobs(s: &mut Settings) -> Option<Jobs> {
    let rotate_keys_every = interval(s, "jobs.rotate_keys_every", "1s", "1d");
    let http_key = http_key(s, "jobs.http_key");
    Some(Jobs { rotate_keys_every: rotate_keys_every?, http_key: http_key? })
}

/// The outer option tells whether the setting is sound, the inner one whether there is a key.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
fn http_key(s: &mut Settings, name: &str) -> Option<Option<Secret<String>>> {
    let key = Secret::new(s.secret(name));
    let is_fit = |key: &str| key.len() >= SHORTEST_KEY && key.bytes().all(|byte| byte.is_ascii_graphic());
    if key.expose().is_empty() {
        return Some(None);
    }
    if is_fit(key.expose()) {
        return Some(Some(key));
    }
    let fault = format!("must be at least {SHORTEST_KEY} letters, digits and signs (`openssl rand -base64 32`)");
    let file_setting = format!("{name}_file");
    let is_from_file = !s.text(&file_setting).is_empty();
    s.fault(if is_from_file { &file_setting } else { name }, fault);
    None
}

/// How often something is done. The outer option tells whether the setting is sound; the inner one is none for `never`.
#[expect(clippy::option_option, reason = "never and wrong are different things")]
pub(super) fn interval(s: &mut Settings, name: &str, least: &str, most: &str) -> Option<Option<TimeDelta>> {
    if matches!(s.text(name), "never" | "0" | "0s") { Some(None) } else { span(s, name, least, most).map(Some) }
}
