//! Counters for what happens many thousands of times a second on every core: each thread counts in a line of memory of its own,
//! so that none of them waits for a line that another has just written.

use std::array;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More than there are workers nearly anywhere; two threads on one line count rightly all the same.
const LINES: usize = 16;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// So many counters.
#[derive(Clone, Debug)]
pub(super) struct Striped<const N: usize>(Arc<[Line<N>; LINES]>);

#[derive(Debug)]
#[repr(align(128))]
struct Line<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Striped<N> {
    fn default() -> Self {
        Self(Arc::new(array::from_fn(|_| Line(array::from_fn(|_| AtomicU64::default())))))
    }
}

impl<const N: usize> Striped<N> {
    /// Counts one up.
    pub(super) fn count(&self, which: usize) {
        let line = LINE.get();
        let line = if line < LINES { line } else { take_line() };
        self.0[line].0[which].fetch_add(1, Ordering::Relaxed);
    }

    /// Where each stands.
    pub(super) fn sums(&self) -> [u64; N] {
        array::from_fn(|which| self.0.iter().map(|line| line.0[which].load(Ordering::Relaxed)).sum())
    }
}

/// A line for a thread that has none yet.
fn take_line() -> usize {
    let line = NEXT.fetch_add(1, Ordering::Relaxed) % LINES;
    LINE.set(line);
    line
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counters = Striped::<2>::default();
        let threads: Vec<_> = (0..40)
            .map(|_| {
                let counters = counters.clone();
                thread::spawn(move || (0..1_000).for_each(|n| counters.count(usize::from(n % 4 == 0))))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(counters.sums(), [30_000, 10_000]);
    }
}
