//! The least that asking for a code and signing in with it must do: the server's commands to Redis and its statements to
//! PostgreSQL, in its order, through one line and a pool of the same size. Nothing is judged, hashed, signed or sent.
//!
//! To be kept in step with `credential/code`, `guard` and `store/sign_in.rs`: it shows what they cost beside their I/O.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use countersign::cache::{Cache, Counter, Relief};
use countersign::clock::Clock;
use countersign::random::Random;
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::Result;
use crate::people::email;

/// How long Redis may take to answer: the machine is kept busy on purpose.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// The server's default.
const POOL: u32 = 16;
/// How long what is kept of a challenge and of an intent is, in bytes.
const CHALLENGE: usize = 400;
const ANSWERED: usize = 230;
const NETWORK: &str = "127.0.0.1";

const LOCALE: &str = "SELECT locale FROM accounts WHERE phone = $1 OR email = $1";
const OPEN_ACCOUNT: &str = "INSERT INTO accounts (id, email, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
const NOTE_SIGN_IN: &str = "UPDATE accounts SET last_login_at = $1,
         state = CASE WHEN state = 'blocked' AND blocked_until <= $1 THEN 'active' ELSE state END,
         blocked_until = CASE WHEN blocked_until <= $1 THEN NULL ELSE blocked_until END
     WHERE (phone = $2 OR email = $3) RETURNING *";
const CLAIM: &str = "UPDATE accounts SET claimed_email = NULL WHERE claimed_email = $1 AND id <> $2";
const OPEN_SESSION: &str =
    "INSERT INTO sessions (id, account_id, generation, rotated_at, opened_by, opened_with, client_id, amr, device_id,
         device_name, user_agent, ip, created_at, last_used_at, expires_at, absolute_expires_at, access_expires_at)
     VALUES ($1, $2, 1, $3, $4, $5, 'app', 'otp', '', '', '', $6, $3, $3, $7, $8, $9)
     ON CONFLICT (opened_by) DO NOTHING RETURNING *";
const RECORD: &str = "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail)
     VALUES ($1, $2, 'session_created', $3, $4, 'owner', $5, '', '')";

/// A line to Redis and connections to PostgreSQL.
pub(crate) struct Bare {
    cache: Cache,
    pool: PgPool,
}

impl Bare {
    pub(crate) async fn connect(redis: &str, prefix: &str, database: &str) -> Result<Self> {
        let cache = Cache::connect(redis, "", prefix, PATIENCE, Clock::System).await?;
        let pool = PgPoolOptions::new().max_connections(POOL).test_before_acquire(false).connect(database).await?;
        Ok(Self { cache, pool })
    }

    /// Asks for a code. The look for the person's language is made beside it, as there.
    pub(crate) async fn request(&self, person: usize) -> Result<Uuid> {
        let now = Clock::System.now();
        let (challenge, intent) = (Random.id(now), format!("{{otp:intent:{}}}", Random.id(now)));
        let until = now + TimeDelta::minutes(2);
        let commands = async {
            self.cache.get(&intent).await?;
            self.cache.count_all(&asked(person, now)).await?;
            self.cache.put(&key(challenge, "challenge"), &[b'x'; CHALLENGE], until).await?;
            self.cache.put_if_absent(&intent, &[b'x'; ANSWERED], until).await?;
            Result::Ok(())
        };
        let look = async { Result::Ok(sqlx::query(LOCALE).bind(email(person)).fetch_optional(&self.pool).await?) };
        tokio::try_join!(commands, look)?;
        Ok(challenge)
    }

    /// Signs in with it.
    pub(crate) async fn login(&self, person: usize, challenge: Uuid) -> Result<()> {
        let now = Clock::System.now();
        let until = now + TimeDelta::hours(1);
        self.cache.get(&key(challenge, "challenge")).await?;
        self.cache.increment(&key(challenge, "guesses"), until).await?;
        self.cache.count_all(&attempted(person, now)).await?;
        self.cache.put_if_absent(&key(challenge, "used"), &[b'x'; 32], until).await?;
        self.cache.count_all(&succeeded(person, now)).await?;
        self.open_session(person, now).await?;
        self.cache.delete(&key(challenge, "challenge")).await?;
        Ok(())
    }

    async fn open_session(&self, person: usize, now: DateTime<Utc>) -> Result<()> {
        let email = email(person);
        let session = Random.id(now);
        let mut tx = self.pool.begin().await?;
        sqlx::query(OPEN_ACCOUNT).bind(Random.id(now)).bind(&email).bind(now).execute(&mut *tx).await?;
        let account: Uuid = sqlx::query(NOTE_SIGN_IN)
            .bind(now)
            .bind(None::<String>)
            .bind(&email)
            .fetch_one(&mut *tx)
            .await?
            .try_get("id")?;
        sqlx::query(CLAIM).bind(&email).bind(account).execute(&mut *tx).await?;
        sqlx::query(OPEN_SESSION)
            .bind(session)
            .bind(account)
            .bind(now)
            .bind(Random.id(now))
            .bind(vec![0_u8; 32])
            .bind(NETWORK)
            .bind(now + TimeDelta::days(30))
            .bind(now + TimeDelta::days(180))
            .bind(now + TimeDelta::hours(1))
            .fetch_one(&mut *tx)
            .await?;
        sqlx::query(RECORD)
            .bind(Random.id(now))
            .bind(now)
            .bind(account)
            .bind(session)
            .bind(NETWORK)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn close(&self) {
        self.cache.close().await;
        self.pool.close().await;
    }
}

/// What is counted before a code leaves.
fn asked(person: usize, now: DateTime<Utc>) -> [Counter; 5] {
    let up = |bucket: &str| up(limit(bucket), now);
    [
        up(&format!("codes_per_identifier_and_network:{person}:{NETWORK}")),
        up(&format!("codes_per_identifier:{person}")).relieved(known(person)),
        up(&format!("codes_per_network:{NETWORK}")),
        up(&format!("unused_codes:sent:network:{NETWORK}"))
            .relieved(Relief::Earned { by: limit(&format!("unused_codes:used:network:{NETWORK}")), each: 10 }),
        up("codes_in_all:"),
    ]
}

/// What is counted before a code is looked at.
fn attempted(person: usize, now: DateTime<Utc>) -> [Counter; 3] {
    let [narrow, of_person, of_network] = attempts(person);
    [up(narrow, now).renewing(), up(of_person, now).relieved(known(person)), up(of_network, now)]
}

/// What is counted once it was right.
fn succeeded(person: usize, now: DateTime<Utc>) -> [Counter; 5] {
    let [narrow, of_person, of_network] = attempts(person);
    [
        Counter::clear(narrow, now),
        Counter::back(of_person, now).relieved(known(person)),
        Counter::back(of_network, now),
        Counter::endless(known_key(person), now + TimeDelta::days(30)).renewing(),
        Counter::endless(limit(&format!("unused_codes:used:network:{NETWORK}")), now + TimeDelta::hours(1)),
    ]
}

fn attempts(person: usize) -> [String; 3] {
    [
        limit(&format!("failed_codes:{person}:{NETWORK}")),
        limit(&format!("attempts_per_identifier:code:{person}")),
        limit(&format!("attempts_per_network:{NETWORK}")),
    ]
}

fn up(key: String, now: DateTime<Utc>) -> Counter {
    Counter::up(key, u64::from(u32::MAX), now + TimeDelta::hours(1))
}

fn known(person: usize) -> Relief {
    Relief::Waived { by: known_key(person) }
}

fn known_key(person: usize) -> String {
    limit(&format!("known_networks:{person}:{NETWORK}"))
}

fn limit(bucket: &str) -> String {
    format!("{{limits}}:{bucket}")
}

fn key(challenge: Uuid, what: &str) -> String {
    format!("{{otp:{challenge}}}:{what}")
}
