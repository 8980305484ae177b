//! Revocations, and single settings.

use countersign::model::{AccountId, SessionId, Target, TokenId};
use countersign::random::Random;
use futures_util::future::join_all;

use super::{Fixture, nobody};
use crate::harness::database::phone;
use crate::harness::{Backend, on_both_backends};

on_both_backends!(
    revocations_are_read_in_order_of_writing,
    the_revocations_of_one_token_are_found,
    an_accounts_sessions_are_revoked_by_name,
    nodes_agree_on_one_setting,
);

async fn revocations_are_read_in_order_of_writing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut written = Vec::new();
    for seconds in [50, 10, 30, 20, 40] {
        let token = TokenId(Random.id(fixture.now));
        let revocation =
            fixture.store().revoke_token(token, None, fixture.after(seconds), &fixture.cause()).await.unwrap();
        assert_eq!((revocation.target, revocation.revoked_at), (Target::Token(token), fixture.now));
        written.push(revocation);
    }
    let all = fixture.store().revocations_after(0, fixture.now, 100).await.unwrap();
    assert_eq!(all.iter().map(|row| row.revocation).collect::<Vec<_>>(), written);
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
    assert_eq!(fixture.store().revocations_after(0, fixture.now, 2).await.unwrap(), all[..2]);
    assert_eq!(fixture.store().revocations_after(all[1].seq, fixture.now, 100).await.unwrap(), all[2..]);
    assert_eq!(fixture.store().revocations_after(all[4].seq, fixture.now, 100).await.unwrap(), []);
    let live = fixture.store().revocations_after(0, fixture.after(30), 100).await.unwrap();
    assert_eq!(live, [all[0], all[4]]);
    assert_eq!(fixture.events("token.revoked").await, 5);
}

async fn the_revocations_of_one_token_are_found(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, cause, until) = (fixture.store(), fixture.cause(), fixture.after(60));
    let (token, session, account) =
        (TokenId(Random.id(fixture.now)), SessionId(Random.id(fixture.now)), nobody(fixture.now));
    store.revoke_token(TokenId(Random.id(fixture.now)), None, until, &cause).await.unwrap();
    assert_eq!(store.revocations_of(token, Some(session), account, fixture.now).await.unwrap(), []);
    store.revoke_token(token, Some(account), until, &cause).await.unwrap();
    store.revoke_account(account, until, &cause).await.unwrap();
    for named in [Some(session), None] {
        let found = store.revocations_of(token, named, account, fixture.now).await.unwrap();
        let mut targets: Vec<_> = found.iter().map(|row| row.revocation.target.kind()).collect();
        targets.sort_unstable();
        assert_eq!(targets, ["account", "token"]);
    }
    assert_eq!(store.revocations_of(token, None, account, until).await.unwrap(), []);
}

async fn an_accounts_sessions_are_revoked_by_name(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (store, until) = (fixture.store(), fixture.after(60));
    let (account, first) = fixture.open(&phone(1)).await;
    let (_, second) = fixture.open(&phone(1)).await;
    let (_, other) = fixture.open(&phone(2)).await;
    let revoked = store.revoke_account(account.id, until, &fixture.cause()).await.unwrap();
    let targets: Vec<_> = revoked.iter().map(|revocation| revocation.target).collect();
    assert_eq!(targets.len(), 3);
    for target in [Target::Session(first.id), Target::Session(second.id), Target::Account(account.id)] {
        assert!(targets.contains(&target));
    }
    assert_eq!(store.sessions_of(account.id, None, 10, fixture.now).await.unwrap(), []);
    assert_eq!(store.sessions_of(other.account_id, None, 10, fixture.now).await.unwrap(), [other]);
    let rows = store.revocations_after(0, fixture.now, 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.revocation).collect::<Vec<_>>(), revoked);
    // A visitor, or nobody: only the cut-off in time.
    let visitor = AccountId(Random.id(fixture.now));
    let revoked = store.revoke_account(visitor, until, &fixture.cause()).await.unwrap();
    assert_eq!(revoked.iter().map(|revocation| revocation.target).collect::<Vec<_>>(), [Target::Account(visitor)]);
    assert_eq!(fixture.events("account.tokens_revoked").await, 2);
}

async fn nodes_agree_on_one_setting(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let proposals: Vec<String> = (0..20).map(|number| format!("پیشنهاد {number}")).collect();
    let answers = join_all(proposals.iter().map(|text| fixture.store().agree_on_setting("name", text))).await;
    let agreed: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert!(proposals.contains(&agreed[0]));
    assert!(agreed.iter().all(|answer| *answer == agreed[0]));
    assert_eq!(fixture.store().agree_on_setting("another", "x").await.unwrap(), "x");
}
