//! Calls that are being worked on. Those of one class leave some places to those that are more urgent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Class;
use crate::metrics::Metrics;

/// The places of a node.
#[derive(Debug)]
pub(super) struct Places {
    taken: Arc<Taken>,
    most: usize,
}

#[derive(Debug)]
struct Taken {
    count: AtomicUsize,
    metrics: Metrics,
}

/// One of them.
#[derive(Debug)]
pub struct Place(Arc<Taken>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.call_ended();
    }
}

impl Places {
    pub(super) fn new(most: usize, metrics: Metrics) -> Self {
        Self { taken: Arc::new(Taken { count: AtomicUsize::new(0), metrics }), most }
    }

    /// Takes one, if one is left for such a call.
    pub(super) fn take(&self, class: Class) -> Option<Place> {
        let most = self.most_for(class);
        let take = |taken: usize| (taken < most).then_some(taken + 1);
        let taken = self.taken.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.ok()?;
        self.taken.metrics.call_began();
        Some(Place(Arc::clone(&self.taken)))
    }

    /// Whether one is left for such a call.
    pub(super) fn has_room(&self, class: Class) -> bool {
        self.taken.count.load(Ordering::Relaxed) < self.most_for(class)
    }

    /// How many may be taken, by whomever, for such a call to find one.
    fn most_for(&self, class: Class) -> usize {
        match class {
            Class::Vital | Class::Tokens | Class::Sessions => self.most,
            Class::SignIns => self.most / 4 * 3,
            Class::Rest | Class::OpenEnded => self.most / 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_urgent_finds_a_place_where_the_rest_finds_none() {
        let places = Places::new(8, Metrics::new());
        let mut taken = Vec::new();
        for (class, expected) in [(Class::Rest, 2), (Class::SignIns, 6), (Class::Sessions, 8)] {
            while let Some(place) = places.take(class) {
                taken.push(place);
            }
            assert_eq!(taken.len(), expected, "{class:?}");
        }
        assert!(!places.has_room(Class::Sessions) && places.take(Class::Sessions).is_none());
        taken.truncate(1);
        assert!(places.has_room(Class::Rest) && places.take(Class::Rest).is_some());
        taken.push(places.take(Class::SignIns).unwrap());
        assert!(places.take(Class::Rest).is_none());
    }

    #[test]
    fn threads_never_take_more_than_there_are() {
        let places = Places::new(16, Metrics::new());
        let most = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let _place = places.take(Class::SignIns);
                        most.fetch_max(places.taken.count.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 12);
        assert_eq!(places.taken.count.load(Ordering::Relaxed), 0);
    }
}
