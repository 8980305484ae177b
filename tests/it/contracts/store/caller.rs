//! Callers and the hashes of their keys.

use countersign::model::{Caller, CallerId, Permission};
use countersign::random::Random;
use countersign::store::{CallerConflict, StoredCaller};
use futures_util::future::join_all;

use super::{Fixture, cause_at};
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    callers_come_back_as_they_were,
    adding_again_finds_what_is_there,
    a_key_is_replaced_and_belongs_to_one,
    a_deleted_caller_is_gone,
);

fn caller(fixture: &Fixture, name: &str, key: u8) -> StoredCaller {
    let caller = Caller {
        id: CallerId(Random.id(fixture.now)),
        name: name.to_owned(),
        permissions: [Permission::Admin, Permission::Introspect].into_iter().collect(),
        created_at: fixture.now,
        rotated_at: None,
        certificate_name: key.is_multiple_of(2).then(|| format!("uri:spiffe://example/{name}").parse().unwrap()),
    };
    StoredCaller { caller, key_hash: vec![key; 32] }
}

async fn callers_come_back_as_they_were(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let stored = ["c", "a", "b"].map(|name| caller(&fixture, name, name.as_bytes()[0]));
    for new in &stored {
        let added = fixture.store().add_caller(new, &fixture.cause()).await.unwrap();
        assert_eq!(added, Ok(new.caller.clone()));
    }
    let [c, a, b] = stored;
    assert_eq!(fixture.store().callers().await.unwrap(), [a.clone(), b.clone(), c.clone()]);
    assert_eq!(fixture.store().callers_after("", 2).await.unwrap(), [a.caller, b.caller]);
    assert_eq!(fixture.store().callers_after("b", 2).await.unwrap(), [c.caller]);
    assert_eq!(fixture.store().callers_after("c", 2).await.unwrap(), []);
    assert_eq!(fixture.events("caller.created").await, 3);
}

async fn adding_again_finds_what_is_there(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let cause = fixture.cause();
    let same: Vec<_> = (0..10).map(|_| caller(&fixture, "a", 1)).collect();
    let added = join_all(same.iter().map(|new| fixture.store().add_caller(new, &cause))).await;
    let found: Vec<_> = added.into_iter().map(|added| added.unwrap().unwrap()).collect();
    assert!(found.iter().all(|caller| *caller == found[0]));
    assert_eq!(fixture.events("caller.created").await, 1);
    for (name, key, conflict) in [("a", 2, CallerConflict::NameTaken), ("b", 1, CallerConflict::KeyTaken)] {
        let outcome = fixture.store().add_caller(&caller(&fixture, name, key), &cause).await.unwrap();
        assert_eq!(outcome, Err(conflict));
    }
    let mut other = caller(&fixture, "a", 1);
    other.caller.permissions = [Permission::Revoke].into_iter().collect();
    assert_eq!(fixture.store().add_caller(&other, &cause).await.unwrap(), Err(CallerConflict::KeyTaken));
}

async fn a_key_is_replaced_and_belongs_to_one(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, later) = (fixture.store(), cause_at(fixture.after(1)));
    let (a, b) = (caller(&fixture, "a", 1), caller(&fixture, "b", 2));
    for new in [&a, &b] {
        store.add_caller(new, &fixture.cause()).await.unwrap().unwrap();
    }
    let expected = Caller { rotated_at: Some(later.at), ..a.caller.clone() };
    for _ in 0..2 {
        let replaced = store.replace_caller_key(a.caller.id, &[3; 32], &later).await.unwrap();
        assert_eq!(replaced, Ok(expected.clone()));
    }
    assert_eq!(store.callers().await.unwrap()[0], StoredCaller { caller: expected, key_hash: vec![3; 32] });
    assert_eq!(fixture.events("caller.key_rotated").await, 1);
    let taken = store.replace_caller_key(a.caller.id, &[2; 32], &later).await.unwrap();
    assert_eq!(taken, Err(CallerConflict::KeyTaken));
    let unknown = store.replace_caller_key(CallerId(Random.id(fixture.now)), &[4; 32], &later).await.unwrap();
    assert_eq!(unknown, Err(CallerConflict::NotFound));
}

async fn a_deleted_caller_is_gone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let new = caller(&fixture, "a", 1);
    fixture.store().add_caller(&new, &fixture.cause()).await.unwrap().unwrap();
    assert!(fixture.store().delete_caller(new.caller.id, &fixture.cause()).await.unwrap());
    assert!(!fixture.store().delete_caller(new.caller.id, &fixture.cause()).await.unwrap());
    assert_eq!(fixture.store().callers().await.unwrap(), []);
    assert_eq!(fixture.events("caller.deleted").await, 1);
    // Its name and its key are free again.
    fixture.store().add_caller(&new, &fixture.cause()).await.unwrap().unwrap();
}
