//! Secrets in files that change while a node runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use countersign::store::Store;

use crate::harness::{Backend, TestApp, has_services, new_database, on_both_backends};

on_both_backends!(a_changed_key_is_taken_up, a_file_that_cannot_be_used_changes_nothing);

const FIRST: &str = "the-first-key-of-more-than-24-bytes";
const SECOND: &str = "the-second-key-of-more-than-24-bytes";

/// A file with a secret.
struct Kept {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Kept {
    fn new(content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = Self { path: folder.path().join("secret"), _folder: folder };
        kept.put(content);
        kept
    }

    /// Replaces the content as a whole, the way that secrets are put into containers.
    fn put(&self, content: &str) {
        let new = self.path.with_extension("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &self.path).unwrap();
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

async fn ask(app: &TestApp, key: &str) -> u16 {
    let request = reqwest::Client::new().post(format!("http://{}/jobs/rotate-keys", app.node().http));
    request.header("authorization", format!("Bearer {key}")).send().await.unwrap().status().as_u16()
}

async fn a_changed_key_is_taken_up(backend: Backend) {
    let kept = Kept::new(FIRST);
    let app = TestApp::with(backend, &[("jobs.http_key_file", kept.path()), ("secrets.reload_every", "1s")]).await;
    assert_eq!((ask(&app, FIRST).await, ask(&app, SECOND).await), (200, 401));
    kept.put(SECOND);
    let put_at = Instant::now();
    while ask(&app, FIRST).await == 200 {
        assert!(put_at.elapsed() < Duration::from_secs(20), "the key stays what it was");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask(&app, SECOND).await, 200);
    app.stop().await;
}

async fn a_file_that_cannot_be_used_changes_nothing(backend: Backend) {
    let kept = Kept::new(FIRST);
    let app = TestApp::with(backend, &[("jobs.http_key_file", kept.path()), ("secrets.reload_every", "1d")]).await;
    kept.put("short");
    for _ in 0..3 {
        app.node().app().nudge.give();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((ask(&app, FIRST).await, ask(&app, "short").await), (200, 401));
    }
    // Even one that is gone for a moment.
    std::fs::remove_file(&kept.path).unwrap();
    app.node().app().nudge.give();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ask(&app, FIRST).await, 200);
    kept.put(SECOND);
    app.node().app().nudge.give();
    let put_at = Instant::now();
    while ask(&app, SECOND).await != 200 {
        assert!(put_at.elapsed() < Duration::from_secs(20), "the key stays what it was");
        tokio::time::sleep(Duration::from_millis(200)).await;
        app.advance(60);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_to_the_database_are_opened_as_the_new_user() {
    if !has_services() {
        return;
    }
    let url = new_database().await;
    let database = Store::connect(&url, 1).await.unwrap();
    let Store::Postgres(pool) = &database else { panic!("{database:?}") };
    let user = format!("user_{}", url.rsplit_once("test_").unwrap().1);
    let create = format!("CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'hush'");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(pool).await.unwrap();
    let kept = Kept::new(&url);
    let settings = [("database.url", ""), ("database.url_file", kept.path()), ("secrets.reload_every", "1d")];
    let app = TestApp::with(Backend::Shared, &settings).await;
    let Store::Postgres(own) = &app.node().app().store else { panic!() };
    let users = async || {
        let query = "SELECT DISTINCT usename::TEXT FROM pg_stat_activity WHERE datname = current_database()
                     AND application_name = 'countersign' AND pid <> pg_backend_pid()";
        sqlx::query_scalar::<_, String>(query).fetch_all(pool).await.unwrap()
    };
    assert!(!users().await.contains(&user));

    // Opens more connections than there are: to which databases.
    let open_more = async || {
        let (mut held, mut led_to) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            held.push(own.acquire().await.unwrap());
        }
        for mut connection in held {
            let query = sqlx::query_scalar::<_, String>("SELECT current_database()::TEXT");
            led_to.push(query.fetch_one(&mut *connection).await.unwrap());
            connection.close().await.unwrap();
        }
        led_to
    };
    // Another database is none of it.
    let name = url.rsplit_once('/').unwrap().1;
    kept.put(&new_database().await);
    app.node().app().nudge.give();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(open_more().await, [name; 4]);
    }
    kept.put(&url.replace("postgres://postgres@", &format!("postgres://{user}:hush@")));
    app.node().app().nudge.give();
    let put_at = Instant::now();
    while !users().await.contains(&user) {
        assert!(put_at.elapsed() < Duration::from_secs(20), "no connection is opened as {user}: {:?}", users().await);
        assert_eq!(open_more().await, [name; 4]);
    }
    app.sign_in("09121234567").await;
    app.stop().await;
    database.close().await;
}
