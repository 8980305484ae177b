//! The database undoes what it was told, because of what others do at the same time (F3). It is done again, and nobody sees
//! anything of it, nor twice.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign::proto::v1;
use countersign::store::Store;
use futures_util::future::join_all;
use sqlx::{Connection, PgConnection, PgPool, raw_sql};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::admin::block;
use crate::harness::database::{events_about, number};
use crate::harness::{Backend, TestApp, bearer, figure, has_services, request_id};
use crate::session::{newcomer, refresh_on, session_of};

/// One in ten units of work is undone: half of these where they change a session, and half when they are committed, as far as
/// they tell of something. What has no event is undone with the first alone.
const DISTURBANCE: &str = "
    CREATE SEQUENCE disturbed;
    CREATE FUNCTION disturb() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF random() < TG_ARGV[1]::float THEN
            PERFORM nextval('disturbed');
            RAISE EXCEPTION 'disturbed' USING ERRCODE = TG_ARGV[0];
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER disturb BEFORE UPDATE OF generation ON sessions
        FOR EACH STATEMENT EXECUTE FUNCTION disturb('40001', '0.1');
    CREATE TRIGGER disturb_end BEFORE UPDATE OF ended_at ON sessions
        FOR EACH STATEMENT EXECUTE FUNCTION disturb('40P01', '0.05');
    CREATE CONSTRAINT TRIGGER disturb_commit AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION disturb('40001', '0.05');";

/// How many calls there are for each person: they refresh, and in the end they sign out.
const REFRESHES: i64 = 9;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_what_was_undone_is_done_again() {
    if !has_services() {
        return;
    }
    let app = TestApp::cluster(Backend::Shared, 2, &[("token.access_lifetime", "1h")]).await;
    let mut people = Vec::new();
    for _ in 0..figure(2_000, 200) {
        people.push(newcomer(&app).await);
    }
    raw_sql(DISTURBANCE).execute(pool(&app)).await.unwrap();
    let (calls, visible, twice) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    // What a caller sees of it, it sees as something that passes.
    let count = |status: &Status| {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        visible.fetch_add(1, Ordering::SeqCst);
    };
    let live = async |number: usize| {
        let person = &people[number];
        let (mut token, node) = (person.refresh_token.clone(), &app.nodes[number % 2]);
        for _ in 0..REFRESHES {
            let intent = request_id();
            calls.fetch_add(1, Ordering::SeqCst);
            token = loop {
                match refresh_on(node, &token, &intent).await {
                    Ok(next) => break next.refresh_token,
                    Err(status) => count(&status),
                }
            };
        }
        calls.fetch_add(1, Ordering::SeqCst);
        while let Err(status) = node.auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await {
            count(&status);
        }
        let (store, session) = (&app.node().app().store, session_of(&app, &person.access_token));
        let generation = self::number(store, "SELECT generation FROM sessions WHERE id = $1", &[session.0]).await;
        let ended = events_about(store, session, "session.ended").await;
        twice.fetch_add(usize::from((generation, ended) != (1 + REFRESHES, 1)), Ordering::SeqCst);
    };
    for some in (0..people.len()).collect::<Vec<_>>().chunks(20) {
        join_all(some.iter().map(|number| live(*number))).await;
    }
    let injected: i64 = sqlx::query_scalar("SELECT last_value FROM disturbed").fetch_one(pool(&app)).await.unwrap();
    let [calls, visible, twice] = [calls, visible, twice].map(AtomicUsize::into_inner);
    eprintln!(
        "F3: {calls} calls, {injected} times undone, {visible} times visible, {twice} times done twice or not at all"
    );
    assert!(usize::try_from(injected).unwrap() > calls / 20);
    assert!(visible * 1_000 <= calls, "{visible} of {calls}");
    assert_eq!(twice, 0);
    app.stop().await;
}

/// Somebody who works on the database by hand locks in the wrong order, and the service is the one that is sent away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f3_a_deadlock_is_resolved_in_silence() {
    if !has_services() {
        return;
    }
    let app = TestApp::new(Backend::Shared).await;
    let url = app.settings.iter().rfind(|(name, _)| name == "database.url").unwrap().1.clone();
    let rounds = figure(50, 3);
    for _ in 0..rounds {
        let person = newcomer(&app).await;
        let (session, account) = (session_of(&app, &person.access_token), Uuid::parse_str(&person.account_id).unwrap());
        let mut other = PgConnection::connect(&url).await.unwrap();
        raw_sql("SET deadlock_timeout = '20s'; BEGIN").execute(&mut other).await.unwrap();
        let lock = "SELECT 1 FROM sessions WHERE id = $1 FOR UPDATE";
        sqlx::query(lock).bind(session.0).execute(&mut other).await.unwrap();
        let by_hand = async {
            // Once the block waits for the session, it has the account.
            let waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pid IN
                (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
            while number(&app.node().app().store, waits, &[]).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let lock = "SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE";
            sqlx::query(lock).bind(account).execute(&mut other).await.unwrap();
            raw_sql("COMMIT").execute(&mut other).await.unwrap();
        };
        tokio::join!(block(&app, &person.account_id, "abuse", None), by_hand);
        assert_eq!(events_about(&app.node().app().store, session, "session.ended").await, 1);
    }
    let sent_away = "SELECT deadlocks::bigint FROM pg_stat_database WHERE datname = current_database()";
    let mut deadlocks = 0;
    for _ in 0..100 {
        deadlocks = number(&app.node().app().store, sent_away, &[]).await;
        if deadlocks >= i64::try_from(rounds).unwrap() {
            break;
        }
        // Figures are told with a delay.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("F3: {rounds} blocks against {deadlocks} deadlocks, none visible");
    assert!(deadlocks >= i64::try_from(rounds).unwrap());
    app.stop().await;
}

fn pool(app: &TestApp) -> &PgPool {
    let Store::Postgres(pool) = &app.node().app().store else { panic!("not on PostgreSQL") };
    pool
}
