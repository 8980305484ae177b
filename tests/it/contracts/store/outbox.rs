//! Events on their way out: collected once, in order, and settled.

use countersign::model::{AccountId, AccountState, Cause, KindFilter, WebhookId};
use countersign::random::Random;
use countersign::store::{Backlog, Block, Due, Outcome, Route, Settled, Store};
use futures_util::future::join_all;
use uuid::Uuid;

use super::{Fixture, cause_at};
use crate::harness::database::{execute, number, phone};
use crate::harness::{Backend, has_services, on_both_backends};

on_both_backends!(
    what_happened_is_collected_once_for_each_who_wants_it,
    what_nobody_wants_leaves_the_outbox,
    what_the_release_before_writes_waits_too,
    old_events_are_never_relayed,
    several_that_collect_at_once_collect_nothing_twice,
    the_events_of_an_account_come_in_order,
    an_account_waits_for_what_was_refused,
    what_is_dead_holds_up_nobody,
    what_waits_or_is_to_be_delivered_is_not_purged,
    the_backlog_is_told,
    an_account_with_much_to_tell_leaves_room_for_others,
);

const ANY: &str = "any";

async fn collect(store: &Store) -> usize {
    let kinds = KindFilter::default();
    store.collect_events(&[Route { destination: ANY, kinds: &kinds }], 500).await.unwrap()
}

async fn due(fixture: &Fixture, seconds: i64) -> Vec<Due> {
    fixture.store().due_deliveries(ANY, fixture.after(seconds), 500).await.unwrap()
}

fn kinds(due: &[Due]) -> Vec<&str> {
    due.iter().map(|due| due.event.kind.as_str()).collect()
}

async fn settle(store: &Store, event_id: Uuid, outcome: Outcome) {
    store.settle_deliveries(ANY, &[Settled { event_id, outcome }]).await.unwrap();
}

async fn backlog(store: &Store) -> Backlog {
    // Others are told of as well, whether anything waits for them or not.
    let mut backlogs = store.delivery_backlogs(&["others", ANY]).await.unwrap();
    backlogs.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = backlogs.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [ANY, "others"]);
    assert_eq!(backlogs[1].1, Backlog::default());
    backlogs[0].1
}

async fn block(fixture: &Fixture, account: AccountId) {
    let block = Block { reason: "a reason", until: None, expires_at: fixture.after(300) };
    fixture.store().block_account(account, block, &fixture.cause()).await.unwrap().unwrap();
}

async fn unblock(fixture: &Fixture, account: AccountId) {
    let account = fixture.store().unblock_account(account, &fixture.cause()).await.unwrap().unwrap();
    assert_eq!(account.state, AccountState::Active);
}

async fn what_happened_is_collected_once_for_each_who_wants_it(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let (account, session) = fixture.open(&phone(1)).await;
    let (all, accounts) = (KindFilter::default(), "account.*".parse().unwrap());
    let routes = [Route { destination: ANY, kinds: &all }, Route { destination: "accounts", kinds: &accounts }];
    assert_eq!(store.collect_events(&routes, 500).await.unwrap(), 2);
    assert_eq!(store.collect_events(&routes, 500).await.unwrap(), 0);

    let told = due(&fixture, 0).await;
    assert_eq!(kinds(&told), ["account.created", "session.created"]);
    assert!(told.iter().all(|due| due.event.account_id == Some(account.id) && due.attempts == 0));
    assert_eq!(told[1].event.session_id, Some(session.id));
    let told = store.due_deliveries("accounts", fixture.now, 500).await.unwrap();
    assert_eq!(kinds(&told), ["account.created"]);

    // What has arrived at one is still to arrive at the other.
    settle(store, told[0].event.id, Outcome::Delivered).await;
    assert_eq!(kinds(&due(&fixture, 0).await), ["session.created"]);
    assert_eq!(store.due_deliveries("accounts", fixture.now, 500).await.unwrap().len(), 1);
    assert_eq!(collect(store).await, 0, "what was delivered does not wait again");
}

async fn what_nobody_wants_leaves_the_outbox(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.open(&phone(1)).await;
    let callers = "caller.*".parse().unwrap();
    let route = Route { destination: ANY, kinds: &callers };
    assert_eq!(fixture.store().collect_events(&[route], 500).await.unwrap(), 2);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM events WHERE outbox_seq IS NOT NULL", &[]).await, 0);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM deliveries", &[]).await, 0);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM events", &[]).await, 2, "the audit trail stays");
}

/// As the release before does it, which knows of no outbox.
async fn record(store: &Store, id: Uuid, account: Uuid) {
    let statement = "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail)
         VALUES ($1, '2030-01-01 00:00:00+00:00', 'account.updated', $2, NULL, 'operator', '', '', '')";
    execute(store, statement, &[id, account]).await;
}

async fn what_the_release_before_writes_waits_too(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let account = Random.id(fixture.now);
    let ids: Vec<_> = (0..3).map(|_| Random.id(fixture.now)).collect();
    for id in &ids {
        record(fixture.store(), *id, account).await;
    }
    assert_eq!(collect(fixture.store()).await, 3);
    let told: Vec<_> = due(&fixture, 0).await.iter().map(|due| due.event.id).collect();
    assert_eq!(told, ids);
}

async fn old_events_are_never_relayed(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    record(store, Random.id(fixture.now), Random.id(fixture.now)).await;
    // As those that were there before the outbox was.
    execute(store, "UPDATE events SET outbox_seq = NULL", &[]).await;
    assert_eq!(collect(store).await, 0);
    assert_eq!(store.outbox_backlog().await.unwrap().pending, 0);
}

async fn several_that_collect_at_once_collect_nothing_twice(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    for number in 0..40 {
        fixture.open(&phone(number)).await;
    }
    let kinds = KindFilter::default();
    let routes = [Route { destination: ANY, kinds: &kinds }];
    let mut collected = 0;
    while collected < 80 {
        let tries = (0..4).map(|_| fixture.store().collect_events(&routes, 7));
        collected += join_all(tries).await.into_iter().map(Result::unwrap).sum::<usize>();
    }
    assert_eq!(collected, 80);
    assert_eq!(number(fixture.store(), "SELECT COUNT(*) FROM deliveries", &[]).await, 80);
}

async fn the_events_of_an_account_come_in_order(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut accounts = Vec::new();
    for number in 0..4 {
        accounts.push(fixture.open(&phone(number)).await.0.id);
    }
    // Whoever changes the same account at once does so one after the other, and while it goes on, it is collected.
    let changes = accounts.iter().map(async |account| {
        for _ in 0..10 {
            block(&fixture, *account).await;
            unblock(&fixture, *account).await;
        }
    });
    let collecting = async {
        let mut collected = 0;
        while collected < 4 * (3 + 20) {
            collected += collect(fixture.store()).await;
            tokio::task::yield_now().await;
        }
        collected
    };
    let (_, collected) = tokio::join!(join_all(changes), collecting);
    assert_eq!((collected, collect(fixture.store()).await), (4 * 23, 0));
    let mut told = Vec::new();
    loop {
        let some = due(&fixture, 0).await;
        if some.is_empty() {
            break;
        }
        for one in &some {
            settle(fixture.store(), one.event.id, Outcome::Delivered).await;
        }
        told.extend(some);
    }
    for account in accounts {
        let own: Vec<_> = told.iter().filter(|due| due.event.account_id == Some(account)).cloned().collect();
        let mut expected = vec!["account.created", "session.created", "session.ended"];
        expected.extend(["account.blocked", "account.unblocked"].repeat(10));
        assert_eq!(kinds(&own), expected);
    }
}

async fn an_account_waits_for_what_was_refused(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let (one, _) = fixture.open(&phone(1)).await;
    let (other, _) = fixture.open(&phone(2)).await;
    assert_eq!(collect(store).await, 4);
    let first = due(&fixture, 0).await[0].clone();
    assert_eq!(first.event.account_id, Some(one.id));
    let refused = Outcome::Refused { due_at: fixture.after(10), error: "not now".to_owned() };
    settle(store, first.event.id, refused).await;

    let told = due(&fixture, 9).await;
    assert!(told.iter().all(|due| due.event.account_id == Some(other.id)), "{told:?}");
    assert_eq!(told.len(), 2);
    let told = due(&fixture, 10).await;
    assert_eq!((told.len(), told[0].event.id, told[0].attempts), (4, first.event.id, 1));
}

async fn what_is_dead_holds_up_nobody(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    fixture.open(&phone(1)).await;
    collect(store).await;
    let first = due(&fixture, 0).await[0].event.id;
    settle(store, first, Outcome::Dead { error: "never".to_owned() }).await;
    assert_eq!(kinds(&due(&fixture, 0).await), ["session.created"]);
    assert_eq!(backlog(store).await.dead, 1);
    // One that comes late, of an attempt that was thought lost.
    settle(store, first, Outcome::Refused { due_at: fixture.now, error: String::new() }).await;
    assert_eq!(kinds(&due(&fixture, 0).await), ["session.created"]);
}

async fn what_waits_or_is_to_be_delivered_is_not_purged(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    fixture.open(&phone(1)).await;
    // The sessions and what else has expired go as well; the purge's own event is as old as the purge.
    let later = |days: i64| Cause::system(fixture.after(days * 86_400));
    let purge = async |days| store.purge(chrono::TimeDelta::days(90), &later(days)).await.unwrap().events;
    assert_eq!(purge(100).await, 0, "both still wait");
    collect(store).await;
    assert_eq!(purge(100).await, 0, "both are still to be delivered");
    let told = due(&fixture, 0).await;
    settle(store, told[0].event.id, Outcome::Delivered).await;
    settle(store, told[1].event.id, Outcome::Dead { error: String::new() }).await;
    assert_eq!(purge(100).await, 2, "what was given up goes with its event");
    assert_eq!(number(store, "SELECT COUNT(*) FROM deliveries WHERE state = 'dead'", &[]).await, 0);
}

async fn the_backlog_is_told(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let empty = store.outbox_backlog().await.unwrap();
    assert_eq!((empty.pending, empty.oldest), (0, None));
    let (account, _) = fixture.open(&phone(1)).await;
    let block = Block { reason: "", until: None, expires_at: fixture.after(300) };
    store.block_account(account.id, block, &cause_at(fixture.after(60))).await.unwrap().unwrap();
    let waiting = store.outbox_backlog().await.unwrap();
    assert_eq!((waiting.pending, waiting.oldest), (4, Some(fixture.now)));
    collect(store).await;
    for due in due(&fixture, 0).await.into_iter().take(2) {
        settle(store, due.event.id, Outcome::Delivered).await;
    }
    assert_eq!(store.outbox_backlog().await.unwrap(), empty);
    let backlog = backlog(store).await;
    assert_eq!((backlog.pending, backlog.dead, backlog.oldest), (2, 0, Some(fixture.after(60))));
}

async fn an_account_with_much_to_tell_leaves_room_for_others(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let store = fixture.store();
    let (busy, _) = fixture.open(&phone(1)).await;
    for _ in 0..10 {
        block(&fixture, busy.id).await;
        unblock(&fixture, busy.id).await;
    }
    for number in 2..5 {
        fixture.open(&phone(number)).await;
    }
    collect(store).await;
    // Less than the one account alone has; and all of the others behind it.
    let told = store.due_deliveries(ANY, fixture.now, 20).await.unwrap();
    let own = told.iter().filter(|due| due.event.account_id == Some(busy.id)).count();
    assert_eq!((own, told.len()), (8, 8 + 3 * 2));
    assert!(told.is_sorted_by_key(|due| due.seq));
    let told = store.due_deliveries(ANY, fixture.now, 11).await.unwrap();
    assert_eq!(told.len(), 11);

    // What waits for the first of them is not due before it, and comes behind it in its order.
    let refused = Outcome::Refused { due_at: fixture.after(10), error: "not now".to_owned() };
    settle(store, told[0].event.id, refused).await;
    let later = "SELECT COUNT(*) FROM deliveries WHERE account_id = $1 AND due_at > '2030-01-01'";
    assert_eq!(number(store, later, &[busy.id.0]).await, 23);
    let of_the_busy = async |seconds| {
        let told = due(&fixture, seconds).await;
        told.into_iter().filter(|due| due.event.account_id == Some(busy.id)).collect::<Vec<_>>()
    };
    assert_eq!(of_the_busy(9).await, []);
    let again = of_the_busy(10).await;
    let seqs: Vec<_> = told[..8].iter().map(|due| due.seq).collect();
    assert_eq!(again.iter().map(|due| due.seq).collect::<Vec<_>>(), seqs);
}

/// On PostgreSQL alone: SQLite has one writer at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_for_an_endpoint_that_is_deleted_meanwhile() {
    if !has_services() {
        return;
    }
    let fixture = Fixture::new(Backend::Shared).await;
    let store = fixture.store();
    let Store::Postgres(pool) = store else { unreachable!() };
    fixture.open(&phone(1)).await;
    let endpoint = WebhookId(Random.id(fixture.now));
    let add = "INSERT INTO webhooks (id, name, url, kinds, created_at)
               VALUES ($1, 'one', 'https://one.example', '', '2030-01-01T00:00:00Z')";
    execute(store, add, &[endpoint.0]).await;

    // Both get as far as what waits for the endpoint, the collector first, and no further.
    let mut hold = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE deliveries IN SHARE MODE").execute(&mut *hold).await.unwrap();
    let waiting = async |count| {
        let locks = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted
                     AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        while number(store, locks, &[]).await < count {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let collecting = tokio::spawn({
        let store = store.clone();
        async move { collect(&store).await }
    });
    waiting(1).await;
    let deleting = tokio::spawn({
        let (store, cause) = (store.clone(), fixture.cause());
        async move { store.delete_webhook(endpoint, &cause).await.unwrap() }
    });
    waiting(2).await;
    hold.commit().await.unwrap();
    assert!(collecting.await.unwrap() > 0 && deleting.await.unwrap());
    let left = "SELECT COUNT(*) FROM deliveries WHERE destination LIKE 'webhook:%'";
    assert_eq!(number(store, left, &[]).await, 0);
}
