//! More is asked of the database than its connections can carry (F2): whoever has to wait too long is told so soon, and
//! introspection does not notice.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use sqlx::raw_sql;
use tokio::time::{interval, sleep};
use tonic::Code;

use countersign::store::Store;

use crate::harness::{Backend, TestApp, details, figure, has_services, storm};
use crate::session::{newcomer, refresh_on};

/// How many connections there are, and how long each is taken up by one call.
const CONNECTIONS: u32 = 4;
const TAKES: Duration = Duration::from_millis(100);
/// How much more is asked for than can be had.
const TIMES: u32 = 10;
/// Within which a call is refused that gets no connection, on a machine that does other things as well.
const SHED: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_too_much_is_refused_soon_and_introspection_goes_on() {
    if !has_services() {
        return;
    }
    let _alone = storm().await;
    let connections = CONNECTIONS.to_string();
    let settings = [("database.max_connections", connections.as_str()), ("token.access_lifetime", "1h")];
    let app = TestApp::cluster(Backend::Shared, 1, &settings).await;
    let mut people = Vec::new();
    // So many that nobody asks again before they have been answered.
    for _ in 0..1_000 {
        let person = newcomer(&app).await;
        people.push((Mutex::new(person.refresh_token), person.access_token));
    }
    let Store::Postgres(pool) = &app.node().app().store else { unreachable!() };
    let slow = format!(
        "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$;
         CREATE TRIGGER linger BEFORE UPDATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION linger()",
        TAKES.as_secs_f64(),
    );
    raw_sql(sqlx::AssertSqlSafe(slow)).execute(pool).await.unwrap();

    let (served, refused, asked) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let load = async {
        let count = figure(30, 4) * 400;
        let tick = interval(TAKES / (CONNECTIONS * TIMES));
        // As they come: none waits until another has been answered.
        let calls = stream::unfold((tick, 0), async |(mut tick, number)| {
            tick.tick().await;
            Some((number, (tick, number + 1)))
        });
        let call = async |number: usize| {
            let (token, _) = &people[number % people.len()];
            let (asked_with, began) = (token.lock().clone(), Instant::now());
            match refresh_on(app.node(), &asked_with, "").await {
                Ok(next) => {
                    served.lock().push(began.elapsed());
                    *token.lock() = next.refresh_token;
                }
                Err(status) => {
                    let told = details(&status);
                    assert!(matches!(told.code, Code::Unavailable | Code::ResourceExhausted), "{status:?}");
                    assert!(told.retry_seconds.is_some(), "{status:?}");
                    refused.lock().push(began.elapsed());
                }
            }
        };
        calls.take(count).for_each_concurrent(None, call).await;
    };
    let asking = async {
        loop {
            for (_, token) in &people {
                let began = Instant::now();
                assert!(app.is_active(token).await);
                asked.lock().push(began.elapsed());
                let age = app.now() - app.node().app().replica.as_of();
                assert!(age < chrono::TimeDelta::seconds(5), "a comparison waited behind the calls: {age}");
                sleep(Duration::from_millis(1)).await;
            }
        }
    };
    tokio::select! {
        () = load => {}
        () = asking => {}
        () = app.let_time_run() => {}
    }
    let [served, refused, asked] = [served, refused, asked].map(|durations| {
        let mut durations = durations.into_inner();
        durations.sort();
        durations
    });
    let part = |sorted: &[Duration], percent: usize| sorted[(sorted.len() - 1) * percent / 100];
    eprintln!(
        "F2: {TIMES} × what {CONNECTIONS} connections carry: {} served, {} refused within p99 {:?}, max {:?}; meanwhile {} \
         introspections, p99 {:?}, max {:?}",
        served.len(),
        refused.len(),
        part(&refused, 99),
        part(&refused, 100),
        asked.len(),
        part(&asked, 99),
        part(&asked, 100),
    );
    assert!(!served.is_empty() && part(&refused, 99) <= SHED);
    assert!(part(&asked, 99) <= Duration::from_millis(200));
    app.stop().await;
}
