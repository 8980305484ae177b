//! Whether those who are sent long answers take them in. HTTP/2 lets a reader stop for as long as it likes; an answer that waits
//! for it is asked for nothing more, so that it cannot notice by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// The readers of one connection.
#[derive(Debug, Default)]
pub struct Readers(Mutex<Vec<(Weak<Reader>, u64)>>);

/// One of them, seen from its answer. The number is odd while a message waits to be taken in, and grows with each.
#[derive(Debug, Default)]
pub(super) struct Reader(AtomicU64);

impl Reader {
    /// It is ready for another message.
    pub(super) fn asks(&self) {
        if !self.0.load(Ordering::Relaxed).is_multiple_of(2) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One is on its way.
    pub(super) fn is_sent(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Readers {
    /// One more.
    pub(super) fn begin(&self) -> Arc<Reader> {
        let reader = Arc::default();
        self.0.lock().push((Arc::downgrade(&reader), 0));
        reader
    }

    /// Whether one of them has waited with the same message since this was asked last.
    #[must_use]
    pub fn have_stopped(&self) -> bool {
        let mut stopped = false;
        self.0.lock().retain_mut(|(reader, before)| {
            let Some(reader) = reader.upgrade() else { return false };
            let now = reader.0.load(Ordering::Relaxed);
            stopped |= now == *before && !now.is_multiple_of(2);
            *before = now;
            true
        });
        stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_nothing_in_between_two_looks_has_stopped() {
        let readers = Readers::default();
        let (one, other) = (readers.begin(), readers.begin());
        for reader in [&one, &other] {
            reader.asks();
            reader.is_sent();
        }
        // The first look only learns how things stand.
        assert!(!readers.have_stopped());
        one.asks();
        other.asks();
        other.is_sent();
        assert!(!readers.have_stopped());
        // One waits for news, which may take as long as it likes; the other is waited for.
        assert!(readers.have_stopped());
        drop(other);
        assert!(!readers.have_stopped());
        assert_eq!(readers.0.lock().len(), 1);
    }
}
