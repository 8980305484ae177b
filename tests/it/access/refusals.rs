//! The command line where something is wrong: one clear sentence, an exit code that is not zero, nothing that frightens, and
//! no secret in what is printed.

use std::net::TcpListener;

use sqlx::{Connection, SqliteConnection};

use super::program::{Place, SECRET};
use crate::harness::has_services;

#[test]
fn everything_wrong_with_the_settings_is_named_at_once() {
    let place = Place::new().with("HTTP__LISTEN", "nowhere").with("SECRETS__ROOT_KEY", SECRET).with("NO__SUCH", "1");
    let file =
        place.file("wrong.toml", "[grpc]\nworkers = 'many'\n[session]\ngrace = '10 minutes'\n[otp]\nlength = 3\n");
    let said = place.run(&["--config", &file, "config", "check"]);
    assert_eq!(said.code, Some(1));
    assert!(said.out.is_empty());
    said.is_decent();
    let from_file = format!("(file {file})");
    for (setting, source) in [
        ("grpc.workers", from_file.as_str()),
        ("session.grace", &from_file),
        ("otp.length", &from_file),
        ("http.listen", "(environment variable COUNTERSIGN__HTTP__LISTEN)"),
        ("secrets.root_key", "(environment variable COUNTERSIGN__SECRETS__ROOT_KEY)"),
        ("no.such", "(environment variable COUNTERSIGN__NO__SUCH)"),
    ] {
        assert!(said.err.contains(&format!("- {setting} {source}: ")), "{setting} is not in {}", said.err);
    }
    assert_eq!(said.err.lines().filter(|line| line.starts_with("- ")).count(), 6, "{}", said.err);
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let place = Place::new();
    let said = place.run(&["--config", "absent.toml", "config", "check"]);
    assert!(said.code == Some(1) && said.err.contains("absent.toml"), "{said:?}");
    let file = place.file("broken.toml", "[grpc\nlisten =");
    let said = place.run(&["--config", &file, "config", "check"]);
    assert!(said.code == Some(1) && said.err.contains("broken.toml"), "{said:?}");
    said.is_decent();
}

#[test]
fn production_refuses_what_is_for_development() {
    let place = Place::new().with("PROFILE", "production");
    let said = place.run(&["serve"]);
    assert_eq!(said.code, Some(1));
    for setting in ["database.url", "cache.url", "notify.sms", "notify.email", "secrets.root_key", "token.issuer"] {
        assert!(said.err.contains(&format!("- {setting} ")), "{setting} is not in {}", said.err);
    }
    said.is_decent();
}

#[test]
fn a_busy_port_is_named() {
    for (setting, name) in [("GRPC__LISTEN", "grpc.listen"), ("HTTP__LISTEN", "http.listen")] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let said = Place::new().with(setting, &address).run(&["serve"]).fails();
        assert!(said.contains(&format!("cannot listen on {address} ({name})")), "{said}");
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_named() {
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    for (url, names) in [
        (format!("mysql://app:{SECRET}@127.0.0.1/app"), "must begin with `postgres://` or `sqlite:`".to_owned()),
        (format!("postgres://app:{SECRET}@{nobody}/app"), format!("cannot reach the database at {nobody}")),
        (format!("postgres://app:{SECRET}@127.0.0.1:port/app"), "the database URL is malformed".to_owned()),
        (format!("postgres://app:{SECRET}@no-such-host.invalid/app"), "no-such-host.invalid".to_owned()),
        ("sqlite:/proc/countersign/no.db".to_owned(), "/proc/countersign".to_owned()),
        ("rubbish".to_owned(), "must begin with `postgres://` or `sqlite:`".to_owned()),
    ] {
        for command in [&["serve"][..], &["migrate"], &["caller", "list"], &["purge"]] {
            let said = Place::new().with("DATABASE__URL", &url).run(command).fails();
            assert!(said.contains(&names), "{command:?} {url}: {said}");
        }
    }
}

#[test]
fn a_database_that_refuses_the_user_is_named() {
    if !has_services() {
        return;
    }
    let server = std::env::var("COUNTERSIGN_TEST_POSTGRES_URL").unwrap();
    let (before, _) = server.rsplit_once('/').unwrap();
    let place = Place::new().with("DATABASE__URL", &format!("{before}/no_such_database"));
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("no_such_database") && said.contains("cannot reach the database"), "{said}");
}

#[test]
fn a_cache_that_cannot_be_reached_is_named() {
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    for (url, names) in [
        (format!("redis://app:{SECRET}@{nobody}"), nobody.to_string()),
        (format!("memcached://app:{SECRET}@127.0.0.1"), "redis://".to_owned()),
        ("rubbish".to_owned(), "redis://".to_owned()),
    ] {
        let said = Place::new().with("CACHE__URL", &url).run(&["serve"]).fails();
        assert!(said.contains(&names), "{url}: {said}");
    }
}

#[test]
fn a_bad_key_file_is_named() {
    let place = Place::new();
    let file = place.file("root.key", SECRET);
    let said = place.with("SECRETS__ROOT_KEY_FILE", &file).run(&["serve"]);
    assert!(said.code == Some(1) && said.err.contains("secrets.root_key_file"), "{said:?}");
    assert!(said.err.contains("openssl rand -base64 32"), "{said:?}");
    said.is_decent();
    let said = Place::new().with("SECRETS__ROOT_KEY_FILE", "/no/such/file").run(&["serve"]);
    assert!(said.code == Some(1) && said.err.contains("/no/such/file"), "{said:?}");
    said.is_decent();
}

#[test]
fn another_root_key_than_the_databases_is_told() {
    const KEYS: [&str; 2] =
        ["MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="];
    let place = Place::new().with("SECRETS__ROOT_KEY", KEYS[0]);
    place.run(&["keys", "list"]).works();
    let said = place.with("SECRETS__ROOT_KEY", KEYS[1]).run(&["serve"]).fails();
    assert!(said.contains("another root key") && said.contains("secrets.root_key"), "{said}");
    assert!(!KEYS.iter().any(|key| said.contains(key)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_schema_is_left_alone() {
    let place = Place::new();
    place.run(&["migrate"]).works();
    let mut connection = SqliteConnection::connect(&place.database()).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    // The later release has only added something: this one works with it, and need not be gone before that one comes.
    for command in [&["migrate"][..], &["caller", "list"]] {
        place.run(command).works();
    }
    assert_eq!(place.serve().terminate().code, Some(0));
    // It has taken something away.
    let contracted = "UPDATE settings SET value = '9999' WHERE name = 'schema.compatible_from'";
    sqlx::query(contracted).execute(&mut connection).await.unwrap();
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("newer release") && said.contains("9999"), "{said}");
    let place = place.with("DATABASE__MIGRATE", "false");
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("newer release") && said.contains("9999"), "{said}");
    // Nobody said who can work with it.
    sqlx::query("DELETE FROM settings").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    for command in [&["serve"][..], &["migrate"], &["caller", "list"]] {
        let said = place.run(command).fails();
        assert!(said.contains("newer release"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_lacks_something_is_told_what_to_run() {
    let place = Place::new().with("DATABASE__MIGRATE", "false");
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("lacks migration 1") && said.contains("`countersign migrate`"), "{said}");
    place.run(&["migrate"]).works();
    assert_eq!(place.serve().terminate().code, Some(0));
    let mut connection = SqliteConnection::connect(&place.database()).await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = 3").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("lacks migration 3") && said.contains("`countersign migrate`"), "{said}");
}

#[test]
fn a_second_process_on_the_same_file_is_refused() {
    let place = Place::new();
    let server = place.serve();
    let said = place.run(&["serve"]).fails();
    assert!(said.contains("another process is serving from ") && said.contains("countersign.db"), "{said}");
    // The first goes on, and what it held is free once it has ended.
    place.run(&["healthcheck", "--address", &server.grpc().to_string()]).works();
    assert_eq!(server.terminate().code, Some(0));
    assert_eq!(place.serve().terminate().code, Some(0));
}

#[test]
fn a_server_that_is_not_there_is_not_healthy() {
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let said = Place::new().run(&["healthcheck", "--address", &nobody.to_string()]).fails();
    assert!(said.starts_with(&format!("countersign: {nobody} does not serve: ")), "{said}");
}

#[test]
fn a_command_that_does_not_exist_is_refused() {
    for arguments in [&["dance"][..], &["caller"], &["caller", "create"], &["keys", "rotate", "--hard"]] {
        let said = Place::new().run(arguments);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.out.is_empty() && !said.err.is_empty());
    }
}
