//! How late an event loop is: what it has to do before it comes to something that is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Class;

/// How often it is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// How often in a row it must have been late: a single long step, or a machine that stood still, is no load.
const IN_A_ROW: usize = 3;

/// The lateness of one event loop.
#[derive(Debug)]
pub struct Lateness {
    bearable: Duration,
    /// How far what is turned away reaches: 0 for nothing, then one class after the other, the last one first.
    level: AtomicU8,
}

impl Lateness {
    /// Up to `bearable` all calls are taken on.
    #[must_use]
    pub fn new(bearable: Duration) -> Arc<Self> {
        Arc::new(Self { bearable, level: AtomicU8::new(0) })
    }

    /// Looks at the loop that runs this, for as long as it is run.
    pub async fn follow(self: Arc<Self>) {
        let mut last = [Duration::ZERO; IN_A_ROW];
        for turn in (0..IN_A_ROW).cycle() {
            let due = Instant::now() + EVERY;
            sleep_until(due).await;
            last[turn] = due.elapsed();
            self.note(last.iter().min().copied().unwrap_or_default());
        }
    }

    /// The loop has been so late all the time.
    fn note(&self, late: Duration) {
        let bearable = self.bearable;
        let level = [bearable, bearable * 2, bearable * 4].iter().take_while(|step| late > **step).count();
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let before = self.level.swap(level, Ordering::Relaxed);
        if before == 0 && level > 0 {
            tracing::warn!(?late, "calls are answered late; those that are less urgent are turned away");
        } else if before > 0 && level == 0 {
            tracing::info!("calls are answered in time again");
        }
    }

    /// Whether such a call can be taken on.
    #[must_use]
    pub fn bears(&self, class: Class) -> bool {
        let turned_away_at = match class {
            Class::Vital | Class::Tokens => u8::MAX,
            Class::Sessions => 3,
            Class::SignIns => 2,
            Class::Rest | Class::OpenEnded => 1,
        };
        self.level.load(Ordering::Relaxed) < turned_away_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_urgent_is_turned_away_first() {
        let lateness = Lateness::new(Duration::from_millis(100));
        let classes = [Class::Tokens, Class::Sessions, Class::SignIns, Class::Rest];
        for (late, borne) in [(0, 4), (100, 4), (101, 3), (200, 3), (201, 2), (400, 2), (401, 1), (60_000, 1), (5, 4)] {
            lateness.note(Duration::from_millis(late));
            let bears = classes.map(|class| lateness.bears(class));
            assert_eq!(bears, [0, 1, 2, 3].map(|place| place < borne), "{late} ms");
        }
    }

    #[tokio::test]
    async fn a_loop_that_is_kept_busy_is_late_and_one_that_is_not_is_not() {
        let lateness = Lateness::new(Duration::from_millis(20));
        let following = tokio::spawn(Arc::clone(&lateness).follow());
        let began = Instant::now();
        while lateness.bears(Class::Rest) {
            assert!(began.elapsed() < Duration::from_secs(20), "it is never noticed");
            // A step that takes far longer than any should; then others have a turn.
            std::thread::sleep(Duration::from_millis(150));
            tokio::task::yield_now().await;
        }
        while !lateness.bears(Class::Rest) {
            assert!(began.elapsed() < Duration::from_secs(40), "it never ends");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        following.abort();
    }
}
