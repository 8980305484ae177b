//! A Nextcloud that is kept in step with people's accounts: what its answers mean, what becomes of its users, and what
//! happens while it is away.

mod away;
mod client;
mod cloud;
mod person;
mod repeated;

use std::time::Duration;

use countersign::proto::v1;
use serde_json::json;
use tonic::Status;

use self::cloud::{ADMIN, NextcloudServer, PASSWORD, User};
use crate::connect::registry::{Registry, TOKEN};
use crate::harness::{Backend, Person, TestApp, bearer};

/// What both outside systems need to be set up.
struct Outside {
    registry: Registry,
    cloud: NextcloudServer,
}

impl Outside {
    async fn start() -> Self {
        let registry = Registry::start().await;
        let person = json!({ "matched": true, "firstName": "مریم", "lastName": "میرزاخانی", "alive": true });
        registry.say(&json!({ "result": 1, "message": "موفق", "data": person }));
        Self { registry, cloud: NextcloudServer::start().await }
    }

    /// One node, with settings of its own on top.
    async fn app(&self, backend: Backend, own: &[(&str, &str)]) -> TestApp {
        let mut settings = vec![
            ("identity.provider", "zibal"),
            ("identity.zibal.url", self.registry.url.as_str()),
            ("identity.zibal.token", TOKEN),
            ("events.poll_every", "20ms"),
            ("nextcloud.enabled", "true"),
            ("nextcloud.url", self.cloud.url.as_str()),
            ("nextcloud.username", ADMIN),
            ("nextcloud.password", PASSWORD),
            ("nextcloud.failures", "1000"),
        ];
        settings.extend(own);
        TestApp::with(backend, &settings).await
    }

    /// The user of somebody, as Nextcloud has them.
    fn user_of(&self, person: &Person) -> Option<User> {
        self.cloud.user(&person.account_id)
    }
}

/// The national id of the n-th person: nine digits and one that follows from them.
fn national_id(n: usize) -> String {
    let digits = format!("{:09}", 10_000_000 + n);
    let sum: usize = digits.bytes().enumerate().map(|(at, digit)| usize::from(digit - b'0') * (10 - at)).sum();
    let rest = sum % 11;
    format!("{digits}{}", if rest < 2 { rest } else { 11 - rest })
}

async fn try_verify(app: &TestApp, person: &Person, n: usize) -> Result<v1::Account, Status> {
    let request = v1::VerifyIdentityRequest { national_id: national_id(n), birth_date: "1370/01/31".to_owned() };
    let answer = app.node().accounts().verify_identity(bearer(request, &person.access_token)).await;
    answer.map(|answer| answer.into_inner().account.unwrap())
}

/// The n-th person, signed in.
async fn person(app: &TestApp, n: usize) -> Person {
    app.sign_in(&format!("0912{n:07}")).await
}

/// The n-th person, signed in and verified.
async fn verified(app: &TestApp, n: usize) -> Person {
    let person = person(app, n).await;
    try_verify(app, &person, n).await.unwrap();
    person
}

/// Waits until every event has been delivered or given up.
async fn settled(app: &TestApp) {
    app.collected().await;
    for _ in 0..3_000 {
        if app.rows("deliveries WHERE state = 'pending'").await == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("events are not delivered");
}

/// Waits until so many rows are there.
async fn rows(app: &TestApp, table: &str, count: i64) {
    for _ in 0..3_000 {
        if app.rows(table).await == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("there are {} rows of {table}, not {count}", app.rows(table).await);
}

/// Changes something about an account in the operator's name.
async fn rename(app: &TestApp, person: &Person, first_name: &str, last_name: &str) {
    let account = v1::Account {
        account_id: person.account_id.clone(),
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        ..Default::default()
    };
    let paths = ["first_name", "last_name"].map(str::to_owned).to_vec();
    let update_mask = Some(prost_types::FieldMask { paths });
    let request = v1::UpdateAccountRequest { account: Some(account), update_mask };
    app.node().admin().update_account(bearer(request, &app.api_key)).await.unwrap();
}

async fn unblock(app: &TestApp, person: &Person) {
    let request = v1::UnblockAccountRequest { account_id: person.account_id.clone() };
    app.node().admin().unblock_account(bearer(request, &app.api_key)).await.unwrap();
}

async fn delete(app: &TestApp, person: &Person) {
    let request = v1::AdminServiceDeleteAccountRequest { account_id: person.account_id.clone() };
    app.node().admin().delete_account(bearer(request, &app.api_key)).await.unwrap();
}
