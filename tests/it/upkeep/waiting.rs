//! A migration of a table that is in use: it waits, and nobody waits behind it.

use std::time::{Duration, Instant};

use countersign::store::Store;
use sqlx::{Connection, PgConnection};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Program, has_services, new_database};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_behind_a_migration_that_waits() {
    if !has_services() {
        return;
    }
    let url = new_database().await;
    let store = Store::connect(&url, 1).await.unwrap();
    store.migrate_up_to(3).await.unwrap();
    store.close().await;
    let mut holder = PgConnection::connect(&url).await.unwrap();
    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut reading = holder.begin().await.unwrap();
    let read = "SELECT COUNT(*) FROM events";
    sqlx::query(read).execute(&mut *reading).await.unwrap();

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let grpc = free.local_addr().unwrap();
    drop(free);
    let listen = grpc.to_string();
    let settings = [
        ("grpc.listen", listen.as_str()),
        ("http.listen", "127.0.0.1:0"),
        ("grpc.workers", "1"),
        ("database.url", &url),
        ("cache.url", "memory:"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let program = Program::start(&settings);
    let (began, mut longest, mut has_waited) = (Instant::now(), Duration::ZERO, false);
    // Longer than a request's statement may take (4 s).
    while began.elapsed() < Duration::from_secs(8) || !has_waited {
        assert!(began.elapsed() < Duration::from_secs(40), "it does not migrate: {}", program.log());
        let asked = Instant::now();
        sqlx::query(read).execute(&mut other).await.unwrap();
        longest = longest.max(asked.elapsed());
        has_waited |= program.log().contains("the migration waits");
        TcpStream::connect(grpc).await.expect_err("nobody is there to answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("reading beside a migration that waits: {longest:?} at most");
    assert!(longest < Duration::from_millis(3_500), "{longest:?}");
    reading.rollback().await.unwrap();
    program.address().await;
    TcpStream::connect(grpc).await.unwrap();
    drop(program.stopped().await);
    holder.close().await.unwrap();
    other.close().await.unwrap();
}
