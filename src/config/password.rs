//! `[password]`: what a password must be, what its hash costs, and how much of the machine hashing may take.

use chrono::TimeDelta;

use super::Profile;
use super::read::span;
use super::source::Settings;

section! {
    /// `[password]`
    Password {
        minimum_length: usize,
        memory_kib: u32,
        passes: u32,
        threads: usize,
        queue: usize,
        reset_url: String,
        reset_lifetime: TimeDelta,
    }
}

/// What OWASP holds to be equally strong: at least so much memory (KiB) with at least so many passes.
const STRONG_ENOUGH: &[(u32, u32)] = &[(47_104, 1), (19_456, 2), (12_288, 3), (9_216, 4), (7_168, 5)];

pub(super) fn read(s: &mut Settings) -> Option<Password> {
    let minimum_length = s.number("password.minimum_length", 8..=64);
    let memory_kib = s.number("password.memory_kib", 7_168..=262_144);
    let passes = s.number("password.passes", 1..=16);
    let threads = s.number("password.threads", 0..=256);
    let queue = s.number("password.queue", 1..=100_000);
    let reset_lifetime = span(s, "password.reset_lifetime", "1m", "7d");
    Some(Password {
        minimum_length: minimum_length?,
        memory_kib: memory_kib?,
        passes: passes?,
        threads: threads?,
        queue: queue?,
        reset_url: s.text("password.reset_url").to_owned(),
        reset_lifetime: reset_lifetime?,
    })
}

pub(super) fn check(password: &Password, profile: Profile, s: &mut Settings) {
    let enough = |&(memory, passes): &(u32, u32)| password.memory_kib >= memory && password.passes >= passes;
    if !STRONG_ENOUGH.iter().any(enough) {
        let fault = "needs more: 47104 KiB with 1 pass, 19456 with 2, 12288 with 3, 9216 with 4 or 7168 with 5";
        s.fault("password.memory_kib", fault.to_owned());
    }
    let url = password.reset_url.as_str();
    if url.is_empty() {
        return;
    }
    let is_url = url.starts_with("https://") || url.starts_with("http://");
    let is_printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_url || !is_printable || url.matches("{token}").count() != 1 {
        s.fault("password.reset_url", "must be a URL with `{token}` in it once".to_owned());
    } else if profile == Profile::Production && !url.starts_with("https://") {
        s.fault("password.reset_url", "production needs https://, because whoever sees the link can use it".to_owned());
    }
}
