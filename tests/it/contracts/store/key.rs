//! Signing keys: each step of their life has one winner.

use countersign::model::{Algorithm, KeyState, SigningKey};
use countersign::store::Successor;
use futures_util::future::join_all;

use super::Fixture;
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    keys_come_back_as_they_were,
    one_of_many_keys_takes_a_place,
    one_of_many_replacements_wins,
    a_replacement_that_is_late_changes_nothing,
    the_longest_token_is_only_raised,
);

fn key(fixture: &Fixture, kid: &str, state: KeyState) -> SigningKey {
    SigningKey {
        kid: kid.to_owned(),
        algorithm: Algorithm::EdDsa,
        state,
        sealed_private: (0..=255).collect(),
        public_jwk: r#"{"kty":"OKP"}"#.to_owned(),
        created_at: fixture.now,
        activated_at: (state == KeyState::Active).then_some(fixture.now),
        retired_at: None,
        longest_token_seconds: 300,
    }
}

async fn states(fixture: &Fixture) -> Vec<(String, KeyState)> {
    let mut keys = fixture.store().signing_keys().await.unwrap();
    keys.sort_by(|a, b| a.kid.cmp(&b.kid));
    keys.into_iter().map(|key| (key.kid, key.state)).collect()
}

async fn keys_come_back_as_they_were(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (old, mut new) = (key(&fixture, "old", KeyState::Active), key(&fixture, "new", KeyState::Pending));
    new.created_at = fixture.after(1);
    assert!(fixture.store().add_signing_key(&old, &fixture.cause()).await.unwrap());
    assert!(fixture.store().add_signing_key(&new, &fixture.cause()).await.unwrap());
    assert_eq!(fixture.store().signing_keys().await.unwrap(), [new, old]);
    assert_eq!(fixture.events("signing_key.changed").await, 2);
}

async fn one_of_many_keys_takes_a_place(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for (number, state) in [(1, KeyState::Active), (2, KeyState::Pending)] {
        let keys: Vec<_> = (0..10).map(|each| key(&fixture, &format!("{number}-{each}"), state)).collect();
        let cause = fixture.cause();
        let added = join_all(keys.iter().map(|key| fixture.store().add_signing_key(key, &cause))).await;
        assert_eq!(added.into_iter().filter(|added| *added.as_ref().unwrap()).count(), 1);
        assert_eq!(fixture.store().signing_keys().await.unwrap().len(), number);
    }
    assert_eq!(fixture.events("signing_key.changed").await, 2);
}

async fn one_of_many_replacements_wins(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    store.add_signing_key(&key(&fixture, "a", KeyState::Active), &cause).await.unwrap();
    store.add_signing_key(&key(&fixture, "b", KeyState::Pending), &cause).await.unwrap();
    let by_waiting = join_all((0..10).map(|_| store.replace_signing_key("a", Successor::Pending("b"), &cause))).await;
    assert_eq!(by_waiting.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    assert_eq!(states(&fixture).await, [("a".to_owned(), KeyState::Retired), ("b".to_owned(), KeyState::Active)]);

    let new: Vec<_> = (0..10).map(|number| key(&fixture, &format!("c{number}"), KeyState::Active)).collect();
    let by_force = new.iter().map(|key| store.replace_signing_key("b", Successor::New(key), &cause));
    let by_force = join_all(by_force).await;
    assert_eq!(by_force.into_iter().filter(|done| *done.as_ref().unwrap()).count(), 1);
    let states = states(&fixture).await;
    assert_eq!(states.len(), 3);
    assert_eq!(states.iter().filter(|(_, state)| *state == KeyState::Active).count(), 1);
    let keys = store.signing_keys().await.unwrap();
    assert!(keys.iter().all(|key| (key.state == KeyState::Retired) == (key.retired_at == Some(fixture.now))));
}

async fn a_replacement_that_is_late_changes_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    store.add_signing_key(&key(&fixture, "a", KeyState::Active), &cause).await.unwrap();
    store.add_signing_key(&key(&fixture, "b", KeyState::Pending), &cause).await.unwrap();
    let before = states(&fixture).await;
    let new = key(&fixture, "c", KeyState::Active);
    for (current, successor) in [
        ("gone", Successor::Pending("b")),
        ("a", Successor::Pending("gone")),
        ("a", Successor::Pending("a")),
        ("gone", Successor::New(&new)),
    ] {
        assert!(!store.replace_signing_key(current, successor, &cause).await.unwrap(), "{current} {successor:?}");
        assert_eq!(states(&fixture).await, before, "{current} {successor:?}");
    }
    assert_eq!(fixture.events("signing_key.changed").await, 2);
}

async fn the_longest_token_is_only_raised(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    store.add_signing_key(&key(&fixture, "a", KeyState::Active), &cause).await.unwrap();
    store.add_signing_key(&key(&fixture, "b", KeyState::Pending), &cause).await.unwrap();
    store.replace_signing_key("a", Successor::Pending("b"), &cause).await.unwrap();
    for (proposed, kept) in [(100, 300), (900, 900), (600, 900)] {
        store.raise_longest_token(proposed).await.unwrap();
        for key in store.signing_keys().await.unwrap() {
            assert_eq!(key.longest_token_seconds, if key.state == KeyState::Retired { 300 } else { kept });
        }
    }
}
