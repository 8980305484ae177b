//! Leases: one holder, and another when the first no longer moves.

use countersign::random::Random;
use countersign::store::LeaseRow;
use futures_util::future::join_all;

use super::Fixture;
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    of_several_one_takes_a_lease,
    a_lease_whose_beat_moves_is_not_taken,
    a_lease_whose_beat_stands_still_is_taken_by_one,
    a_lease_that_is_given_back_is_free,
);

const NAME: &str = "relay";

async fn of_several_one_takes_a_lease(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    assert_eq!(store.lease(NAME).await.unwrap(), None);
    let nodes: Vec<_> = (0..8).map(|_| Random.id(fixture.now)).collect();
    let taken = join_all(nodes.iter().map(|node| store.take_lease(NAME, *node, None))).await;
    let winners: Vec<_> = nodes.iter().zip(taken).filter(|(_, taken)| *taken.as_ref().unwrap()).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.lease(NAME).await.unwrap(), Some(LeaseRow { holder: *winners[0].0, beat: 0 }));
    // Another one is another matter.
    assert!(store.take_lease("purge", nodes[0], None).await.unwrap());
}

async fn a_lease_whose_beat_moves_is_not_taken(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let (holder, other) = (Random.id(fixture.now), Random.id(fixture.now));
    assert!(!store.renew_lease(NAME, holder).await.unwrap(), "nobody has it");
    assert!(store.take_lease(NAME, holder, None).await.unwrap());
    let seen = store.lease(NAME).await.unwrap();
    assert!(store.renew_lease(NAME, holder).await.unwrap());
    assert!(!store.take_lease(NAME, other, seen).await.unwrap());
    assert!(!store.take_lease(NAME, other, None).await.unwrap());
    assert!(!store.renew_lease(NAME, other).await.unwrap());
    assert_eq!(store.lease(NAME).await.unwrap(), Some(LeaseRow { holder, beat: 1 }));
}

async fn a_lease_whose_beat_stands_still_is_taken_by_one(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let crashed = Random.id(fixture.now);
    assert!(store.take_lease(NAME, crashed, None).await.unwrap());
    let seen = store.lease(NAME).await.unwrap();
    let nodes: Vec<_> = (0..8).map(|_| Random.id(fixture.now)).collect();
    let taken = join_all(nodes.iter().map(|node| store.take_lease(NAME, *node, seen))).await;
    assert_eq!(taken.into_iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
    // It was only slow: it learns that it is no longer the one.
    assert!(!store.renew_lease(NAME, crashed).await.unwrap());
    store.release_lease(NAME, crashed).await.unwrap();
    assert!(store.lease(NAME).await.unwrap().is_some_and(|row| nodes.contains(&row.holder)));
}

async fn a_lease_that_is_given_back_is_free(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let (holder, other) = (Random.id(fixture.now), Random.id(fixture.now));
    assert!(store.take_lease(NAME, holder, None).await.unwrap());
    store.release_lease(NAME, other).await.unwrap();
    assert!(store.lease(NAME).await.unwrap().is_some(), "only its holder gives it back");
    store.release_lease(NAME, holder).await.unwrap();
    assert!(store.take_lease(NAME, other, None).await.unwrap());
}
