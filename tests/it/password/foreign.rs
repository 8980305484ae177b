//! Hashes from elsewhere: they sign in with the old password, and are ours afterwards.

use countersign::model::{AccountId, Cause};
use countersign::random::Random;
use countersign::secret::Secret;
use countersign::store::{NewAccount, OpenSession, Proved, Store};
use sqlx::AssertSqlSafe;

use super::{log_in, reason};
use crate::harness::database::{new_session, phone};
use crate::harness::{Backend, TestApp, on_both_backends};

on_both_backends!(each_scheme_signs_in_and_is_ours_afterwards, a_hash_of_no_use_is_no_password);

/// What these are hashes of.
const TROMBONE: &str = "Trombone-7 caf\u{e9}";
const HASHES: &[&str] = &[
    "pbkdf2_sha256$12$a.b/salt$z8GOp7BM9Vnh4g0iBHHvDuqsa+Ljxx2P5FeT2SR6ExA=",
    "pbkdf2_sha1$12$seasalt$WSSQDx6hA5jebTUZVTY6a1UmgT4=",
    "bcrypt$$2b$04$pu94jjBb.6Z.Rt47uvZuB.GV4xDnyKpXKSPlUbgQiUaqzks0o50S2",
    "bcrypt_sha256$$2b$04$xIjA2C/9rOReOK2DwOyvwukqTvkfrKghyU6inP2goxSN9U3CSzchO",
    "argon2$argon2id$v=19$m=512,t=1,p=2$c2FsdHNhbHRzYWx0$f1dNOpkA40CTU4vcr4ZwXeQbERVzI2REsO3fNhyzuQ0",
    "scrypt$1024$seasalt$4$2$JY6c4Aka1nM4KlbhnFGVPwAV0EkbNsGs/HqvD72YIYm0OKVBWxydvoKDUk8EUfpCHtpW2chNvhL1zakMUI3N6w==",
    "$argon2id$v=19$m=512,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v0zRXpDPeR8mVE0kazidEFit+7B0h+KHGVRAI2L4",
];

/// Puts an account into the database that has this hash.
async fn insert(app: &TestApp, subscriber: u32, hash: &str) {
    let identifier = phone(subscriber);
    let cause = Cause::system(app.now());
    let mut account = NewAccount::bare(AccountId(Random.id(app.now())));
    account.password_hash = Some(Secret::new(hash.to_owned()));
    let new = OpenSession {
        proved: Proved::Owner { identifier: &identifier, must_be_new: true },
        new_account: Some(account),
        upgrade: None,
        session: new_session(app.now()),
        intent: None,
        cause: &cause,
    };
    app.node().app().store.open_session(new).await.unwrap();
}

async fn stored(app: &TestApp, subscriber: u32) -> String {
    let query =
        AssertSqlSafe(format!("SELECT password_hash FROM accounts WHERE phone = '{}'", phone(subscriber).as_str()));
    match &app.node().app().store {
        Store::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
        Store::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
    }
}

async fn each_scheme_signs_in_and_is_ours_afterwards(backend: Backend) {
    let app = TestApp::new(backend).await;
    for (subscriber, hash) in (1..).zip(HASHES) {
        insert(&app, subscriber, hash).await;
        let number = format!("0912{subscriber:07}");
        assert_eq!(reason(log_in(&app, &number, "Trombone-7 cafe").await), "INVALID_CREDENTIALS", "{hash}");
        assert_eq!(stored(&app, subscriber).await, *hash);
        log_in(&app, &number, TROMBONE).await.unwrap();
        let ours = stored(&app, subscriber).await;
        assert!(ours.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{ours}");
        log_in(&app, &number, TROMBONE).await.unwrap();
        assert_eq!(stored(&app, subscriber).await, ours, "what is ours stays");
        assert_eq!(reason(log_in(&app, &number, "Trombone-7 cafe").await), "INVALID_CREDENTIALS", "{hash}");
    }
    // Of several at once, each gets in.
    insert(&app, 99, HASHES[0]).await;
    let entered = futures_util::future::join_all((0..8).map(|_| log_in(&app, "09120000099", TROMBONE))).await;
    assert!(entered.iter().filter(|entered| entered.is_ok()).count() >= 3, "{entered:?}");
    log_in(&app, "09120000099", TROMBONE).await.unwrap();
    app.stop().await;
}

async fn a_hash_of_no_use_is_no_password(backend: Backend) {
    let app = TestApp::new(backend).await;
    for (subscriber, hash) in
        (1..).zip(["", "!", "md5$x$y", "$argon2id$v=19$m=9999999,t=2,p=2$LAtScp0s2BBFvTiN1YIvEA$Od+v"])
    {
        insert(&app, subscriber, hash).await;
        for password in ["!", hash, TROMBONE].into_iter().filter(|password| !password.is_empty()) {
            assert_eq!(reason(log_in(&app, &format!("0912{subscriber:07}"), password).await), "INVALID_CREDENTIALS");
        }
    }
    app.stop().await;
}
