//! Many accounts at once, brought over from elsewhere. Each statement takes a whole chunk; which rows it is about is found
//! out before anything is written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use sqlx::QueryBuilder;
use uuid::Uuid;

use super::{Store, StoreError, in_transaction};
use crate::model::{AccountId, AccountState, Cause, EmailAddress, EventKind, Phone, Roles};
use crate::random::Random;
use crate::secret::Secret;

/// How many rows one transaction writes. SQLite takes 32,766 parameters, and a row has fifteen.
const CHUNK: usize = 500;
/// How often a chunk is begun anew because somebody took one of its identifiers in the meantime.
const TRIES: usize = 5;
/// What operators read of somebody who was shut out already.
const BLOCK_REASON: &str = "blocked before it was imported";

/// An account to bring over, checked.
#[derive(Clone, Debug)]
pub struct ImportedAccount {
    /// Its phone number.
    pub phone: Option<Phone>,
    /// Its mail address.
    pub email: Option<EmailAddress>,
    /// Whether nobody ever proved either.
    pub is_unproved: bool,
    /// Given name, or empty.
    pub first_name: String,
    /// Family name, or empty.
    pub last_name: String,
    /// The language of messages, or empty.
    pub locale: String,
    /// The hash of its password, of whichever kind.
    pub password_hash: Option<Secret<String>>,
    /// Its roles.
    pub roles: Roles,
    /// What services keep with it.
    pub metadata: Map<String, Value>,
    /// Whether it may be signed in to.
    pub state: AccountState,
    /// When it came into being.
    pub created_at: DateTime<Utc>,
    /// When somebody last signed in.
    pub last_login_at: Option<DateTime<Utc>>,
}

/// What becomes of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is new.
    Created(AccountId),
    /// Somebody has its phone number or its mail address, and stays as they are.
    Known(AccountId),
}

/// Who has which phone numbers and mail addresses, as far as some rows ask about them.
#[derive(Default)]
pub struct Owners {
    proved: HashMap<String, AccountId>,
    claimed: HashMap<String, AccountId>,
}

impl std::fmt::Debug for Owners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Owners { [redacted] }")
    }
}

impl ImportedAccount {
    fn identifiers(&self) -> impl Iterator<Item = &str> {
        self.phone.as_ref().map(Phone::as_str).into_iter().chain(self.email.as_ref().map(EmailAddress::as_str))
    }
}

impl Owners {
    /// What becomes of these rows. A row that is to be new counts as known for those behind it.
    ///
    /// What somebody merely claims does not keep its owner out: it is asked about for rows that are themselves unproved, so
    /// that these are not taken twice.
    pub fn plan(&mut self, rows: &[ImportedAccount]) -> Vec<Imported> {
        rows.iter().map(|row| self.plan_one(row)).collect()
    }

    fn plan_one(&mut self, row: &ImportedAccount) -> Imported {
        let claimed = |text: &str| self.claimed.get(text).filter(|_| row.is_unproved);
        if let Some(id) = row.identifiers().find_map(|text| self.proved.get(text).or_else(|| claimed(text))) {
            return Imported::Known(*id);
        }
        let id = AccountId(Random.id(row.created_at));
        let own = if row.is_unproved { &mut self.claimed } else { &mut self.proved };
        own.extend(row.identifiers().map(|text| (text.to_owned(), id)));
        Imported::Created(id)
    }
}

/// Adds to `$owners` who has one of `$texts` in a column.
macro_rules! note_owners {
    ($connection:expr, $owners:expr, $column:literal, $texts:expr) => {
        if let Some(texts) = Some($texts).filter(|texts: &Vec<&str>| !texts.is_empty()) {
            const QUERY: &str = concat!("SELECT ", $column, ", id FROM accounts WHERE ", $column, " IN (");
            let mut query = QueryBuilder::new(QUERY);
            let mut list = query.separated(", ");
            for text in texts {
                list.push_bind(text.to_owned());
            }
            query.push(")");
            // Not kept: there is one for each number of rows.
            let found: Vec<(String, Uuid)> =
                query.build_query_as().persistent(false).fetch_all(&mut *$connection).await?;
            $owners.extend(found.into_iter().map(|(text, id)| (text, AccountId(id))));
        }
    };
}

/// Adds to `$owners` everybody that these rows could be.
macro_rules! look_up {
    ($connection:expr, $owners:expr, $rows:expr) => {{
        let owners: &mut Owners = $owners;
        let rows: &[ImportedAccount] = $rows;
        note_owners!($connection, owners.proved, "phone", phones(rows.iter()));
        note_owners!($connection, owners.proved, "email", emails(rows.iter()));
        let unproved = || rows.iter().filter(|row| row.is_unproved);
        note_owners!($connection, owners.claimed, "claimed_phone", phones(unproved()));
        note_owners!($connection, owners.claimed, "claimed_email", emails(unproved()));
    }};
}

/// Whether two imports of the same people waited for each other. Which of them goes on does not matter.
fn is_deadlock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "40P01")
}

fn phones<'r>(rows: impl Iterator<Item = &'r ImportedAccount>) -> Vec<&'r str> {
    rows.filter_map(|row| row.phone.as_ref()).map(Phone::as_str).collect()
}

fn emails<'r>(rows: impl Iterator<Item = &'r ImportedAccount>) -> Vec<&'r str> {
    rows.filter_map(|row| row.email.as_ref()).map(EmailAddress::as_str).collect()
}

impl Store {
    /// Writes those that are new, each with its event, and tells what became of every row. What was written before a failure
    /// stays, and is known the next time.
    pub async fn import_accounts(&self, rows: &[ImportedAccount], cause: &Cause) -> Result<Vec<Imported>, StoreError> {
        let mut outcomes = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(CHUNK) {
            outcomes.extend(self.import_chunk(chunk, cause).await?);
        }
        Ok(outcomes)
    }

    /// Adds to `owners` everybody that these rows could be.
    pub async fn note_owners(&self, owners: &mut Owners, rows: &[ImportedAccount]) -> Result<(), StoreError> {
        for chunk in rows.chunks(CHUNK) {
            in_transaction!(self, tx => { look_up!(tx, owners, chunk); Ok::<_, StoreError>(()) })?;
        }
        Ok(())
    }

    async fn import_chunk(&self, rows: &[ImportedAccount], cause: &Cause) -> Result<Vec<Imported>, StoreError> {
        for _ in 1..TRIES {
            match self.try_chunk(rows, cause).await {
                Ok(None) => {}
                Ok(Some(outcomes)) => return Ok(outcomes),
                Err(StoreError::Unavailable(error)) if is_deadlock(&error) => {}
                Err(error) => return Err(error),
            }
        }
        self.try_chunk(rows, cause).await?.ok_or(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
    }

    /// Nothing is written where somebody took one of the identifiers after it was asked about.
    async fn try_chunk(&self, rows: &[ImportedAccount], cause: &Cause) -> Result<Option<Vec<Imported>>, StoreError> {
        in_transaction!(self, tx => {
            let mut owners = Owners::default();
            look_up!(tx, &mut owners, rows);
            let outcomes = owners.plan(rows);
            let mut new: Vec<_> = rows.iter().zip(&outcomes).filter_map(|(row, outcome)| match outcome {
                Imported::Created(id) => Some((*id, row)),
                Imported::Known(_) => None,
            }).collect();
            // In one order, so that imports of the same people wait for each other in a row and not in a circle.
            new.sort_by(|(_, one), (_, other)| one.identifiers().cmp(other.identifiers()));
            if !new.is_empty() {
                let mut insert = QueryBuilder::new(
                    "INSERT INTO accounts (id, phone, email, claimed_phone, claimed_email, first_name, last_name, locale,
                         password_hash, roles, metadata, state, block_reason, created_at, last_login_at) ");
                insert.push_values(&new, |mut values, (id, row)| {
                    let phone = row.phone.as_ref().map(|phone| phone.as_str().to_owned());
                    let email = row.email.as_ref().map(|email| email.as_str().to_owned());
                    let proved = |text: &Option<String>| text.clone().filter(|_| !row.is_unproved);
                    let claimed = |text: Option<String>| text.filter(|_| row.is_unproved);
                    let reason = if row.state == AccountState::Blocked { BLOCK_REASON } else { "" };
                    values.push_bind(id.0)
                        .push_bind(proved(&phone)).push_bind(proved(&email))
                        .push_bind(claimed(phone)).push_bind(claimed(email))
                        .push_bind(row.first_name.clone()).push_bind(row.last_name.clone())
                        .push_bind(row.locale.clone())
                        .push_bind(row.password_hash.as_ref().map(|hash| hash.expose().clone()))
                        .push_bind(row.roles.to_string())
                        .push_bind(Value::Object(row.metadata.clone()).to_string())
                        .push_bind(row.state.as_str()).push_bind(reason)
                        .push_bind(row.created_at).push_bind(row.last_login_at);
                });
                insert.push(" ON CONFLICT DO NOTHING");
                let inserted = insert.build().persistent(false).execute(&mut *tx).await?.rows_affected();
                if inserted != new.len() as u64 {
                    return Ok(None);
                }
                let mut record = QueryBuilder::new(
                    "INSERT INTO events (id, at, kind, account_id, session_id, actor, ip, request_id, detail) ");
                record.push_values(&new, |mut values, (id, _)| {
                    values.push_bind(Random.id(cause.at)).push_bind(cause.at)
                        .push_bind(EventKind::AccountImported.as_str())
                        .push_bind(id.0).push_bind(None::<Uuid>)
                        .push_bind(cause.actor.name(Some(*id))).push_bind(cause.ip.clone())
                        .push_bind(cause.request_id.clone()).push_bind(cause.detail.clone());
                });
                record.build().persistent(false).execute(&mut *tx).await?;
            }
            Ok(Some(outcomes))
        })
    }
}
