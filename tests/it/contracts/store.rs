//! The store's promises, held against both databases, each test on a database of its own.

mod caller;
mod key;
mod lease;
mod outbox;
mod purge;
mod revocation;
mod session;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::model::{Account, AccountId, Actor, Cause, Identifier, RequestId, Session};
use countersign::random::Random;
use countersign::store::{Intent, NewSession, Opened, Store};

use crate::harness::Backend;
use crate::harness::database::{Database, new_session, number, sign_in};

/// A database and the time.
struct Fixture {
    database: Database,
    /// A moment with microseconds, so that losing them shows.
    now: DateTime<Utc>,
}

impl Fixture {
    async fn new(backend: Backend) -> Self {
        let now = DateTime::from_timestamp_micros(1_900_000_000_123_456).unwrap();
        Self { database: Database::new(backend).await, now }
    }

    fn store(&self) -> &Store {
        &self.database.store
    }

    fn after(&self, seconds: i64) -> DateTime<Utc> {
        self.now + TimeDelta::seconds(seconds)
    }

    fn cause(&self) -> Cause {
        cause_at(self.now)
    }

    /// Signs somebody in, and opens the account where there is none.
    async fn open(&self, identifier: &Identifier) -> (Account, Session) {
        self.open_as(identifier, new_session(self.now)).await
    }

    async fn open_as(&self, identifier: &Identifier, session: NewSession) -> (Account, Session) {
        let opened = self.store().open_session(sign_in(identifier, session, &self.cause())).await.unwrap();
        let Opened::Session { account, session, .. } = opened else { panic!("{opened:?}") };
        (*account, *session)
    }

    async fn events(&self, kind: &str) -> i64 {
        number(self.store(), &format!("SELECT COUNT(*) FROM events WHERE kind = '{kind}'"), &[]).await
    }
}

fn cause_at(at: DateTime<Utc>) -> Cause {
    Cause {
        actor: Actor::Operator,
        ip: "192.0.2.1".to_owned(),
        request_id: "r-1".to_owned(),
        detail: "یک کلمه 📱".to_owned(),
        ..Cause::system(at)
    }
}

fn intent(now: DateTime<Utc>, digest: u8) -> Intent {
    Intent { request_id: RequestId(Random.id(now)), digest: [digest; 32] }
}

fn nobody(now: DateTime<Utc>) -> AccountId {
    AccountId(Random.id(now))
}
