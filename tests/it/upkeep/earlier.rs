//! Databases that earlier releases have left, with data in them; and their statements against what this release has made of it.

use countersign::proto::v1;
use countersign::store::{NEWEST_MIGRATION, Store};
use sqlx::AssertSqlSafe;

use crate::harness::{Backend, TestApp, bearer, new_database, on_both_backends};

on_both_backends!(
    what_earlier_releases_wrote_is_there_after_every_migration,
    f7_earlier_releases_write_into_the_newest_schema,
    migrating_one_by_one_is_migrating_at_once,
);

/// What each earlier release wrote, beside what the one before it did: by the last migration that it knew.
const WRITTEN: [(i64, &str); 3] = [
    (1, include_str!("earlier/0001.sql")),
    (2, include_str!("earlier/0002.sql")),
    (3, include_str!("earlier/0003.sql")),
];

/// A database in which nothing is yet.
struct Empty {
    url: String,
    store: Store,
    _folder: tempfile::TempDir,
}

impl Empty {
    async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Embedded => format!("sqlite:{}", folder.path().join("earlier.db").display()),
            Backend::Shared => new_database().await,
        };
        let store = Store::connect(&url, 2).await.unwrap();
        Self { url, store, _folder: folder }
    }

    /// Runs a release's statements, in this database's spelling of identifiers and bytes.
    async fn write(&self, statements: &str) {
        let is_postgres = matches!(self.store, Store::Postgres(_));
        let mut text = String::new();
        let mut rest = statements;
        while let Some(at) = rest.find("@uuid(").into_iter().chain(rest.find("@bytes(")).min() {
            let (before, marked) = rest.split_at(at);
            let (kind, after) = marked[1..].split_once('(').unwrap();
            let (value, after) = after.split_once(')').unwrap();
            text += before;
            let spelled = match (kind, is_postgres) {
                ("uuid", true) => format!("'{value}'"),
                ("bytes", true) => format!("'\\x{value}'"),
                ("uuid" | "bytes", false) => format!("X'{}'", value.replace('-', "")),
                _ => panic!("@{kind}"),
            };
            text += &spelled;
            rest = after;
        }
        text += rest;
        let text = AssertSqlSafe(text);
        match &self.store {
            Store::Postgres(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
            Store::Sqlite(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
        }
    }

    /// Every table's columns, as the database tells them.
    async fn shape(&self) -> Vec<(String, String)> {
        match &self.store {
            Store::Postgres(pool) => sqlx::query_as(
                "SELECT table_name || '.' || column_name, data_type || ' ' || is_nullable || ' ' || COALESCE(column_default, '')
                 FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1",
            )
            .fetch_all(pool)
            .await
            .unwrap(),
            Store::Sqlite(pool) => {
                let query = "SELECT name, COALESCE(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1";
                sqlx::query_as(query).fetch_all(pool).await.unwrap()
            }
        }
    }
}

/// Serves from the database, and finds there what releases up to this one wrote.
async fn is_served(backend: Backend, database: Empty, up_to: i64) {
    database.store.close().await;
    let app = TestApp::with(backend, &[("database.url", &database.url)]).await;
    let first = app.sign_in("0912 100 0001").await;
    assert_eq!(first.account_id, "01890000-0000-7000-8000-00000000a001");
    let request = bearer(v1::ListSessionsRequest::default(), &first.access_token);
    let sessions = app.node().accounts().list_sessions(request).await.unwrap().into_inner().sessions;
    assert!(sessions.iter().any(|session| session.device_name == "First"), "{sessions:?}");
    let request = bearer(v1::GetProfileRequest {}, &first.access_token);
    let profile = app.node().accounts().get_profile(request).await.unwrap().into_inner().account.unwrap();
    assert_eq!((profile.first_name.as_str(), profile.roles.len()), ("Ada", 2));
    let request = bearer(v1::ListCallersRequest::default(), &app.api_key);
    let callers = app.node().admin().list_callers(request).await.unwrap().into_inner().callers;
    assert!(callers.iter().any(|caller| caller.name == "first" && caller.permissions.len() == 2), "{callers:?}");
    let kinds = async |account: &str| {
        let filter = Some(v1::AuditFilter { account_id: account.to_owned(), ..Default::default() });
        let request = bearer(v1::ListAuditEventsRequest { filter, ..Default::default() }, &app.api_key);
        let events = app.node().admin().list_audit_events(request).await.unwrap().into_inner().events;
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&first.account_id).await.len(), 2);
    assert_eq!(app.node().app().replica.len(), 1);
    if up_to >= 2 {
        let second = app.sign_in("0912 100 0002").await;
        assert_eq!(second.account_id, "01890000-0000-7000-8000-00000000a003");
        let request = bearer(v1::GetProfileRequest {}, &second.access_token);
        let profile = app.node().accounts().get_profile(request).await.unwrap().into_inner().account.unwrap();
        assert_eq!((profile.locale.as_str(), profile.has_password), ("fa", true));
        assert_eq!(profile.identity.unwrap().full_name, "Bea Second");
        assert!(kinds(&second.account_id).await.contains(&"account.identity_verified".to_owned()));
    }
    if up_to >= 3 {
        let third = callers.iter().find(|caller| caller.name == "third").unwrap();
        assert_eq!(third.certificate_name, "uri:spiffe://example/third");
    }
    app.stop().await;
}

async fn what_earlier_releases_wrote_is_there_after_every_migration(backend: Backend) {
    for (last, _) in WRITTEN {
        let database = Empty::new(backend).await;
        // As it grew: each release migrates, and then writes.
        for (version, statements) in WRITTEN.iter().filter(|(version, _)| *version <= last) {
            database.store.migrate_up_to(*version).await.unwrap();
            database.write(statements).await;
        }
        let unfit = database.store.bring_to_shape(false).await;
        assert_eq!(unfit.is_err(), last < NEWEST_MIGRATION, "{unfit:?}");
        is_served(backend, database, last).await;
    }
}

/// The release before goes on beside this one: what it says to the database is understood.
async fn f7_earlier_releases_write_into_the_newest_schema(backend: Backend) {
    let database = Empty::new(backend).await;
    database.store.migrate().await.unwrap();
    let mut statements = 0;
    for (_, written) in WRITTEN {
        database.write(written).await;
        statements += written.matches(';').count();
    }
    eprintln!(
        "F7: {statements} statements of {} earlier releases on the newest schema, {backend:?}: 0 errors",
        WRITTEN.len()
    );
    is_served(backend, database, WRITTEN.len().try_into().unwrap()).await;
}

async fn migrating_one_by_one_is_migrating_at_once(backend: Backend) {
    let (stepwise, at_once) = (Empty::new(backend).await, Empty::new(backend).await);
    for version in 1..=NEWEST_MIGRATION {
        stepwise.store.migrate_up_to(version).await.unwrap();
    }
    at_once.store.migrate().await.unwrap();
    at_once.store.migrate().await.unwrap();
    stepwise.store.bring_to_shape(false).await.unwrap();
    assert_eq!(stepwise.shape().await, at_once.shape().await);
    assert!(at_once.shape().await.len() > 10);
}
