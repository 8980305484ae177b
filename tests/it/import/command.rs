//! `countersign import`, run the way an operator runs it, from Django's database and from a file.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use countersign::model::AccountState;
use countersign::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use super::hashes::{DJANGO, UNUSABLE};
use super::source::Source;
use super::{account, rows};
use crate::harness::{Backend, figure, new_database, on_both_backends};

on_both_backends!(
    djangos_users_come_over,
    a_dry_run_writes_nothing_and_an_import_can_be_resumed,
    garbage_is_reported_by_its_key_alone,
    a_table_of_ones_own_is_described_by_flags,
    a_file_of_json_lines_comes_over,
    a_hundred_thousand_come_over_in_half_a_minute,
);

/// An installation that does not serve.
struct Target {
    url: String,
    folder: TempDir,
}

struct Outcome {
    ok: bool,
    out: String,
    err: String,
}

impl Target {
    async fn new(backend: Backend) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = match backend {
            Backend::Embedded => format!("sqlite:{}", folder.path().join("target.db").display()),
            Backend::Shared => new_database().await,
        };
        Self { url, folder }
    }

    async fn store(&self) -> Store {
        let store = Store::connect(&self.url, 2).await.unwrap();
        store.migrate().await.unwrap();
        store
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn import(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.arg("import").args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("COUNTERSIGN__DATABASE__URL", &self.url).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Outcome { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }

    async fn django(&self, source: &Source, arguments: &[&str]) -> Outcome {
        self.import(&[&["django", "--url", &source.url], arguments].concat()).await
    }

    fn report(&self) -> Vec<Value> {
        let report = std::fs::read_to_string(self.file("report")).unwrap();
        report.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Outcome {
    #[track_caller]
    fn says(&self, ok: bool, figures: &str) {
        assert_eq!((self.ok, self.out.trim()), (ok, figures), "{}", self.err);
    }
}

async fn djangos_users_come_over(backend: Backend) {
    let (source, target) = (Source::new(backend).await, Target::new(backend).await);
    for (id, (scheme, hash)) in (1..).zip(DJANGO) {
        source.user(id, &format!("0912000000{id}"), &format!("{scheme}@example.com"), hash).await;
    }
    source.user(7, "root", "root@example.com", UNUSABLE).await;
    source.run("UPDATE auth_user SET is_superuser = true, is_staff = true WHERE id = 7").await;
    source.run("UPDATE auth_user SET is_active = false, last_login = '2021-01-02 03:04:05' WHERE id = 1").await;
    source.run("INSERT INTO auth_group (id, name) VALUES (1, 'Content Editors'), (2, 'ops')").await;
    source.run("INSERT INTO auth_user_groups (id, user_id, group_id) VALUES (1, 1, 1), (2, 1, 2), (3, 7, 2)").await;

    // Nobody is made an administrator who was not named one.
    let arguments = ["--staff-role", "staff", "--groups", "--metadata-column", "username=name"];
    target.django(&source, &arguments).await.says(true, "7 created, 0 known, 0 refused");
    let store = target.store().await;
    let first = account(&store, "pbkdf2_sha256@example.com").await.unwrap();
    assert_eq!(first.roles.names(), ["content-editors", "ops"]);
    assert_eq!(first.metadata["name"], "09120000001");
    assert_eq!(first.state, AccountState::Blocked);
    assert_eq!(first.password_hash.unwrap().expose(), DJANGO[0].1);
    assert_eq!(first.created_at.to_rfc3339(), "2020-01-02T03:04:05.678900+00:00");
    assert_eq!(first.last_login_at.unwrap().to_rfc3339(), "2021-01-02T03:04:05+00:00");
    assert_eq!((first.phone, first.first_name.as_str(), first.last_name.as_str()), (None, "Given", "Family"));
    let root = account(&store, "root@example.com").await.unwrap();
    assert_eq!((root.roles.names(), root.password_hash), (["ops".to_owned(), "staff".to_owned()].as_slice(), None));
    assert_eq!(rows(&store, "events WHERE kind = 'account.imported' AND actor = 'operator'").await, 7);

    // Again, with what was left out: nobody changes.
    let again = ["--username-is", "phone", "--superuser-role", "admin", "--allow-refused"];
    target.django(&source, &again).await.says(true, "0 created, 6 known, 1 refused");
}

async fn a_dry_run_writes_nothing_and_an_import_can_be_resumed(backend: Backend) {
    let (source, target) = (Source::new(backend).await, Target::new(backend).await);
    source.crowd(2500, DJANGO[0].1).await;
    source.user(9001, "0912 000 0007", "unlike@example.com", "").await;
    source.user(9002, "+989130000000", "user8@example.com", "").await;
    let phone = ["--username-is", "phone"];
    let report = target.file("report");
    let dry = target.django(&source, &[&phone[..], &["--dry-run", "--report", &report]].concat()).await;
    dry.says(true, "2500 would be created, 2 known (2 of them like a row before), 0 refused");
    assert!(dry.err.contains("1000 rows up to 1000: "), "{}", dry.err);
    let told = target.report();
    assert_eq!((&told[0]["id"], &told[0]["same_as"]), (&"9001".into(), &"7".into()));
    assert_eq!((&told[1]["id"], &told[1]["same_as"]), (&"9002".into(), &"8".into()));
    let store = target.store().await;
    assert_eq!((rows(&store, "accounts").await, rows(&store, "events").await), (0, 0));

    let rest = target.django(&source, &[&phone[..], &["--resume-after", "2000"]].concat()).await;
    rest.says(true, "502 created, 0 known, 0 refused");
    let all = target.django(&source, &phone).await;
    // The two that were doubles are there now, and those that they double are known by them.
    all.says(true, "1998 created, 504 known, 0 refused");
    assert_eq!(rows(&store, "accounts").await, 2500);
    assert_eq!(account(&store, "+989120002500").await.unwrap().email.unwrap().as_str(), "user2500@example.com");
}

async fn garbage_is_reported_by_its_key_alone(backend: Backend) {
    let (source, target) = (Source::new(backend).await, Target::new(backend).await);
    source.crowd(400, "md5$hush$hush").await;
    source.run(&format!("UPDATE auth_user SET password = '{}' WHERE id <= 200", DJANGO[0].1)).await;
    source.user(500, "hush", "hush", "").await;
    let report = target.file("report");
    let arguments = ["--username-is", "phone", "--report", &report];
    let outcome = target.django(&source, &arguments).await;
    outcome.says(false, "200 created, 0 known, 201 refused");
    let last = outcome.err.lines().last().unwrap();
    assert_eq!(last, "countersign: 201 rows were refused; the report says why, and --allow-refused accepts it");
    let told = target.report();
    assert_eq!(told.len(), 201);
    assert_eq!(
        told[0],
        serde_json::json!({"id": "201", "outcome": "refused", "fault": "password_hash: the hash is of an unknown kind"})
    );
    let text = format!("{told:?}{}{}", outcome.out, outcome.err);
    assert!(!text.contains("hush") && !text.contains("98912"), "{text}");

    let arguments = ["--username-is", "phone", "--drop-unfit-hashes", "--allow-refused"];
    target.django(&source, &arguments).await.says(true, "200 created, 200 known, 1 refused");
    assert!(account(&target.store().await, "user300@example.com").await.unwrap().password_hash.is_none());
}

async fn a_table_of_ones_own_is_described_by_flags(backend: Backend) {
    let (source, target) = (Source::new(backend).await, Target::new(backend).await);
    source
        .run(
            r#"CREATE TABLE "people user" (uid varchar(36) PRIMARY KEY, mobile varchar(20), secret varchar(128),
                "since" varchar(40), "it's" integer)"#,
        )
        .await;
    source.run(r#"INSERT INTO "people user" VALUES ('b''1', '09120000001', '', '2020-01-02T03:04:05+03:30', 5)"#).await;
    source.run(r#"INSERT INTO "people user" VALUES ('a"2', '09120000002', '!', 'once', NULL)"#).await;
    let report = target.file("report");
    let arguments = [
        "--table=people user",
        "--id-column=uid",
        "--phone-column=mobile",
        "--password-column=secret",
        "--joined-column=since",
        "--email-column=",
        "--first-name-column=",
        "--last-name-column=",
        "--active-column=",
        "--last-login-column=",
        "--metadata-column=it's=size",
        "--unproved",
        "--report",
        &report,
    ];
    target.django(&source, &arguments).await.says(false, "1 created, 0 known, 1 refused");
    assert_eq!(target.report()[0]["fault"], "date_joined: must be a time");
    assert_eq!(target.report()[0]["id"], "a\"2");
    let person = account(&target.store().await, "+989120000001").await.unwrap();
    assert_eq!(person.phone, None);
    assert_eq!(person.claimed_phone.unwrap().as_str(), "+989120000001");
    assert_eq!(person.metadata["size"], "5");
    assert_eq!(person.created_at.to_rfc3339(), "2020-01-01T23:34:05+00:00");
    let behind = target.django(&source, &[&arguments[..], &["--resume-after", "b'1"]].concat()).await;
    behind.says(true, "0 created, 0 known, 0 refused");

    let wrong = target.django(&source, &["--table", "nobody"]).await;
    assert!(!wrong.ok && wrong.err.contains("nobody") && !wrong.err.contains("panicked"), "{}", wrong.err);
    let none = target.import(&["django", "--url", "sqlite:/nowhere/at/all.sqlite3"]).await;
    assert!(!none.ok && none.err.starts_with("countersign: cannot reach the database"), "{}", none.err);
}

async fn a_file_of_json_lines_comes_over(backend: Backend) {
    let target = Target::new(backend).await;
    let lines = [
        r#"{"id": 1, "phone": "09120000001", "roles": ["staff"], "metadata": {"plan": 7}, "locale": "fa"}"#,
        "",
        r#"{"id": 2, "phone": "09120000001"}"#,
        r#"{"id": "hush", "email": "hush"#,
        r#"{"id": 4, "email": "four@example.com", "created_at": "2020-01-02T03:04:05Z", "blocked": true}"#,
    ];
    std::fs::write(target.file("people"), lines.join("\n")).unwrap();
    let report = target.file("report");
    let outcome = target.import(&["json", "people", "--report", &report]).await;
    outcome.says(false, "2 created, 1 known (1 of them like a row before), 1 refused");
    let told = target.report();
    assert_eq!(told[0], serde_json::json!({"line": 3, "id": 2, "outcome": "known", "same_as": "1"}));
    assert_eq!((&told[1]["line"], &told[1]["outcome"]), (&4.into(), &"refused".into()));
    assert!(!format!("{told:?}").contains("hush"));
    let store = target.store().await;
    assert_eq!(account(&store, "+989120000001").await.unwrap().metadata["plan"], 7);
    assert_eq!(account(&store, "four@example.com").await.unwrap().state, AccountState::Blocked);
    target.import(&["json", "people", "--resume-after", "4"]).await.says(true, "0 created, 1 known, 0 refused");
}

async fn a_hundred_thousand_come_over_in_half_a_minute(backend: Backend) {
    let count = figure(100_000, 5_000);
    let (source, target) = (Source::new(backend).await, Target::new(backend).await);
    source.crowd(count, DJANGO[0].1).await;
    let begun = Instant::now();
    let outcome = target.django(&source, &["--username-is", "phone"]).await;
    let taken = begun.elapsed();
    outcome.says(true, &format!("{count} created, 0 known, 0 refused"));
    eprintln!("{count} accounts came over in {taken:?}");
    assert!(taken < Duration::from_secs(30), "{taken:?}");
    assert_eq!(
        rows(&target.store().await, "events WHERE kind = 'account.imported'").await,
        i64::try_from(count).unwrap()
    );
}
