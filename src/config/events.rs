//! `[events]`: how events leave for other systems.

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;

section! {
    /// `[events]`
    Events { poll_every: TimeDelta, batch: i64, }
}

pub(super) fn read(s: &mut Settings) -> Option<Events> {
    let poll_every = span(s, "events.poll_every", "10ms", "1m");
    let batch = s.number("events.batch", 1..=5_000);
    Some(Events { poll_every: poll_every?, batch: batch? })
}
