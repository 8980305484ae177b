//! Deleting what has expired, being there at all, and being gone.

use chrono::TimeDelta;
use countersign::model::{Algorithm, Cause, EndReason, KeyState, SigningKey, TokenId};
use countersign::random::Random;
use countersign::store::{NewSession, Purged, Store, StoreError, Successor};

use super::{Fixture, cause_at};
use crate::harness::database::{new_session, number, phone};
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    only_what_has_expired_is_deleted,
    a_purge_gets_through_many_rows,
    what_a_purge_deleted_is_told_though_it_failed,
    migrating_again_changes_nothing,
    a_closed_store_says_so,
);

async fn only_what_has_expired_is_deleted(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause) = (fixture.store(), fixture.cause());
    let (_, live) = fixture.open(&phone(1)).await;
    let short = NewSession { expires_at: fixture.after(60), ..new_session(fixture.now) };
    fixture.open_as(&phone(1), short).await;
    let (_, ended) = fixture.open(&phone(1)).await;
    store.end_session(ended.id, None, EndReason::Logout, &cause).await.unwrap();
    store.revoke_token(TokenId(Random.id(fixture.now)), None, fixture.after(60), &cause).await.unwrap();
    for (kid, state) in [("old", KeyState::Active), ("new", KeyState::Pending)] {
        let key = SigningKey {
            kid: kid.to_owned(),
            algorithm: Algorithm::Es256,
            state,
            sealed_private: vec![0],
            public_jwk: String::new(),
            created_at: fixture.now,
            activated_at: None,
            retired_at: None,
            longest_token_seconds: 60,
        };
        store.add_signing_key(&key, &cause).await.unwrap();
    }
    store.replace_signing_key("old", Successor::Pending("new"), &cause).await.unwrap();
    let purge = async |seconds| store.purge(TimeDelta::days(90), &Cause::system(fixture.after(seconds))).await;

    assert_eq!(purge(3_599).await.unwrap(), Purged::default());
    // What has ended goes first; what lived a minute longer, a minute later.
    assert_eq!(purge(3_600).await.unwrap(), Purged { sessions: 1, ..Purged::default() });
    assert_eq!(purge(3_659).await.unwrap(), Purged::default());
    let expired = Purged { sessions: 1, revocations: 1, signing_keys: 1, ..Purged::default() };
    assert_eq!(purge(3_660).await.unwrap(), expired);
    // The revocation of the ended session stays as long as a token of it might be around.
    assert_eq!(purge(3_904).await.unwrap(), Purged::default());
    assert_eq!(purge(3_905).await.unwrap(), Purged { revocations: 1, ..Purged::default() });
    assert_eq!(store.sessions_of(live.account_id, None, 10, fixture.now).await.unwrap(), [live]);
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);

    let events = number(store, "SELECT COUNT(*) FROM events", &[]).await;
    store.collect_events(&[], 10_000).await.unwrap();
    let purged = purge(90 * 86_400).await.unwrap();
    // What is left tells of this purge and of the three before that had something to delete.
    assert_eq!((purged.events, number(store, "SELECT COUNT(*) FROM events", &[]).await), (events - 3, 4));
    assert_eq!(number(store, "SELECT COUNT(*) FROM events WHERE kind = 'storage.purged'", &[]).await, 4);
}

async fn what_a_purge_deleted_is_told_though_it_failed(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let short = NewSession { expires_at: fixture.after(60), ..new_session(fixture.now) };
    fixture.open_as(&phone(1), short).await;
    // Nothing tells any more which events have still to go where.
    let statement = "ALTER TABLE deliveries RENAME TO gone";
    match store {
        Store::Postgres(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
        Store::Sqlite(pool) => drop(sqlx::query(statement).execute(pool).await.unwrap()),
    }
    let failed = store.purge(TimeDelta::days(90), &Cause::system(fixture.after(3_660))).await;
    assert!(matches!(failed, Err(StoreError::Internal(_))), "{failed:?}");
    let told = "SELECT COUNT(*) FROM events WHERE kind = 'storage.purged' AND detail LIKE '1 sessions, %'";
    assert_eq!(number(store, told, &[]).await, 1);
}

async fn a_purge_gets_through_many_rows(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (account, first) = fixture.open(&phone(1)).await;
    // Live and expired ones in turns, more than one batch of either.
    for number in 0..2_500_i64 {
        let expires_at = fixture.after(if number % 2 == 0 { 60 } else { 86_400 });
        let id = countersign::model::SessionId(Random.id(fixture.after(number)));
        fixture.open_as(&phone(1), NewSession { id, expires_at, ..new_session(fixture.now) }).await;
    }
    fixture.store().collect_events(&[], 10_000).await.unwrap();
    let purged = fixture.store().purge(TimeDelta::seconds(3_660), &Cause::system(fixture.after(3_660))).await.unwrap();
    assert_eq!((purged.sessions, purged.events), (1_250, 2_502));
    let left = fixture.store().sessions_of(account.id, None, 10_000, fixture.now).await.unwrap();
    assert_eq!(left.len(), 1_251);
    assert!(left.contains(&first));
}

async fn migrating_again_changes_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (account, _) = fixture.open(&phone(1)).await;
    fixture.store().migrate().await.unwrap();
    assert!(fixture.store().account(account.id).await.unwrap().is_some());
    fixture.store().ping().await.unwrap();
}

async fn a_closed_store_says_so(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.signing_keys().await, Err(StoreError::Unavailable(_))));
    let token = TokenId(Random.id(fixture.now));
    let written = store.revoke_token(token, None, fixture.after(60), &cause_at(fixture.now)).await;
    assert!(matches!(written, Err(StoreError::Unavailable(_))));
}
