//! PostgreSQL restarts, fails over, stops taking changes, or is gone without a word (F1). Nodes go on as they are, nothing that
//! was acknowledged is lost, and ten seconds later everything works again.

use std::time::{Duration, Instant};

use countersign::store::Store;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::sleep;
use tonic::Code;

use super::SOON;
use super::crowd::{Crowd, all_serve};
use crate::harness::{Backend, End, OwnPostgres, Person, TestApp, Wire, details, figure, has_services};
use crate::session::{newcomer, refresh_on};

const NODES: usize = 2;
const PEOPLE: usize = 6;
/// How long people live between two faults.
const BETWEEN: Duration = Duration::from_millis(700);

/// Nodes on a PostgreSQL of their own, which they reach over a wire.
struct Stage {
    server: OwnPostgres,
    wire: Wire,
    database: String,
    app: TestApp,
    probes: Vec<Person>,
}

impl Stage {
    /// None where there is nothing to set it up with.
    async fn set() -> Option<Self> {
        if !has_services() {
            return None;
        }
        let server = OwnPostgres::start().await?;
        let url = server.new_database().await;
        let (_, database) = url.rsplit_once('/').unwrap();
        let wire = Wire::to(([127, 0, 0, 1], server.port).into()).await;
        let over_the_wire = format!("postgres://postgres@{}/{database}", wire.address);
        // Fewer connections than people, so that one that is lost is missed.
        let settings =
            [("database.url", &*over_the_wire), ("database.max_connections", "4"), ("token.access_lifetime", "1h")];
        let app = TestApp::cluster(Backend::Shared, NODES, &settings).await;
        let mut probes = Vec::new();
        for _ in 0..NODES {
            probes.push(newcomer(&app).await);
        }
        let database = database.to_owned();
        Some(Self { server, wire, database, app, probes })
    }

    /// Something happens to the database while people live, as often as there are ways, and tells when it began. Each time it
    /// must be forgotten soon.
    async fn befalls<W: Copy + std::fmt::Debug>(
        mut self,
        row: &str,
        ways: &[W],
        fault: impl AsyncFn(&mut OwnPostgres, &Wire, W) -> Instant,
    ) {
        let Self { server, wire, app, probes, .. } = &mut self;
        let (crowd, mut slowest) = (Crowd::default(), Duration::ZERO);
        let faults = async {
            for way in ways {
                sleep(BETWEEN).await;
                let began = fault(server, wire, *way).await;
                let (happened, serving) = (began.elapsed(), all_serve(app, probes).await);
                eprintln!("{row}: {way:?}: happened within {happened:?}, all nodes serve {serving:?} later");
                slowest = slowest.max(happened + serving);
            }
            sleep(BETWEEN).await;
        };
        tokio::select! {
            () = Box::pin(crowd.lives(app, PEOPLE, faults)) => {}
            () = app.let_time_run() => {}
        }
        crowd.holds(app, row).await;
        eprintln!("{row}: {} times, serving again after {slowest:?} at most", ways.len());
        assert!(slowest <= SOON, "{row}: {slowest:?}");
        self.app.stop().await;
    }
}

/// How another server comes to take over.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The old one ends, and the address leads to the new one once that has taken over.
    Ended(End),
    /// The address leads to the new one while that still is a standby.
    TooEarly(End),
    /// The old one is gone without a word: nothing closes, nothing answers.
    Silent,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_failovers_lose_nothing_that_was_acknowledged() {
    let Some(stage) = Stage::set().await else { return };
    let ways = [
        Way::Ended(End::Killed),
        Way::Silent,
        Way::TooEarly(End::Fast),
        Way::Ended(End::Immediate),
        Way::TooEarly(End::Killed),
    ];
    let ways: Vec<_> = ways.into_iter().cycle().take(figure(20, 3)).collect();
    stage
        .befalls("F1 failover", &ways, async |server, wire, way| {
            // Commits wait until the standby has them, so that none is lost with the server: that is the operator's choice.
            let standby = server.standby().await;
            sleep(BETWEEN).await;
            let (place, began) = (([127, 0, 0, 1], standby.port).into(), Instant::now());
            match way {
                Way::Ended(how) => {
                    server.end(how);
                    standby.promote().await;
                    wire.lead_to(place);
                }
                Way::TooEarly(how) => {
                    wire.lead_to(place);
                    server.end(how);
                    sleep(BETWEEN).await;
                    standby.promote().await;
                }
                Way::Silent => {
                    wire.abandon();
                    wire.lead_to(place);
                    standby.promote().await;
                }
            }
            *server = standby;
            began
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_restarts_are_soon_forgotten() {
    let Some(stage) = Stage::set().await else { return };
    let ways: Vec<_> = [End::Fast, End::Immediate, End::Killed].into_iter().cycle().take(figure(21, 3)).collect();
    stage
        .befalls("F1 restart", &ways, async |server, _, how| {
            let began = Instant::now();
            server.end(how);
            server.start_again().await;
            began
        })
        .await;
}

/// What becomes of connections.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// They close as if the other end had never known of them.
    Reset,
    /// They stay and carry nothing, and neither do new ones, for two seconds.
    Hole,
    /// They stay and carry nothing; new ones are sound.
    HalfOpen,
    /// They carry 20 KB in a second, for two seconds.
    Narrow,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_broken_connections_are_replaced() {
    let Some(stage) = Stage::set().await else { return };
    let ways = [Broken::HalfOpen, Broken::Reset, Broken::Hole, Broken::Narrow];
    let ways: Vec<_> = ways.into_iter().cycle().take(figure(20, 4)).collect();
    stage
        .befalls("F1 connections", &ways, async |_, wire, how| {
            let began = Instant::now();
            match how {
                Broken::HalfOpen => wire.abandon(),
                Broken::Reset => wire.reset(),
                Broken::Hole => wire.swallow(),
                Broken::Narrow => wire.throttle(20_000),
            }
            if !matches!(how, Broken::HalfOpen) {
                sleep(Duration::from_secs(2)).await;
                wire.mend();
            }
            began
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_server_that_takes_no_changes_still_answers_questions() {
    let Some(mut stage) = Stage::set().await else { return };
    let Stage { server, app, probes, database, .. } = &mut stage;
    let ways = [
        // Those that are open learn of it, too.
        ["ALTER SYSTEM SET default_transaction_read_only = on", "ALTER SYSTEM RESET default_transaction_read_only"]
            .map(str::to_owned),
        // Those that are opened meanwhile would stay as they are.
        [
            format!("ALTER DATABASE {database} SET default_transaction_read_only = on"),
            format!("ALTER DATABASE {database} RESET default_transaction_read_only"),
        ],
    ];
    let run = async {
        for [begin, end] in ways {
            change(server, &begin).await;
            server
                .tell("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign'")
                .await;
            let (began, mut refused) = (Instant::now(), 0);
            // Past the bound, so that what is answered stands on the database.
            while began.elapsed() < Duration::from_secs(7) {
                for (number, probe) in probes.iter().enumerate() {
                    let active = app.ask(number, &probe.access_token).await;
                    assert!(
                        active.as_ref().is_ok_and(|active| *active) || began.elapsed() < Duration::from_secs(1),
                        "{active:?}"
                    );
                    if began.elapsed() > Duration::from_secs(1) {
                        let told =
                            details(&refresh_on(&app.nodes[number], &probe.refresh_token, "").await.unwrap_err());
                        assert_eq!((told.code, told.retry_seconds), (Code::Unavailable, Some(1)));
                        refused += 1;
                    }
                }
                sleep(Duration::from_millis(50)).await;
            }
            change(server, &end).await;
            let serving = all_serve(app, probes).await;
            eprintln!(
                "F1 read-only: {refused} changes refused, every question answered; all nodes serve {serving:?} later"
            );
            assert!(refused > 0 && serving <= SOON);
        }
    };
    tokio::select! {
        () = run => {}
        () = app.let_time_run() => {}
    }
    stage.app.stop().await;
}

/// Makes a setting hold, on a connection that itself takes changes.
async fn change(server: &OwnPostgres, statement: &str) {
    let mut connection = PgConnection::connect(&server.url("postgres")).await.unwrap();
    for statement in ["SET default_transaction_read_only = off", statement, "SELECT pg_reload_conf()"] {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_nobody_starts_on_a_standby() {
    let Some(server) = OwnPostgres::start().await else { return };
    let standby = server.standby().await;
    let url = standby.url("postgres");
    let refused = Store::connect(&url, 2).await.unwrap_err();
    assert!(refused.to_string().ends_with("name the primary, or an address that leads to it"), "{refused}");
    standby.promote().await;
    Store::connect(&url, 2).await.unwrap().close().await;
}
