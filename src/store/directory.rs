//! Accounts, found by what an operator looks for.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::event::first_id;
use super::{Store, StoreError, on_pool};
use crate::model::{Account, AccountId, AccountState, EmailAddress, Phone, Role};

/// An account's identifier begins with the time of its creation, give or take what lies between making the one and noting
/// the other. So a span of time is, at most this much wider, a span of the primary key.
const SLACK: TimeDelta = TimeDelta::hours(1);

/// Which accounts. What is left out does not restrict.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Those in this state, a block that has ended by itself being none.
    pub state: Option<AccountState>,
    /// The one with this number, proved or not.
    pub phone: Option<Phone>,
    /// The one with this address, proved or not.
    pub email: Option<EmailAddress>,
    /// Those one of whose names begins like this. The letters `A` to `Z` are the same in either case, because that is as far
    /// as both databases agree on what a case is; others are compared as they are written.
    pub name_prefix: Option<String>,
    /// Those with this role.
    pub role: Option<Role>,
    /// Those created then or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Those created before.
    pub created_before: Option<DateTime<Utc>>,
}

macro_rules! is_named {
    ($bytewise:literal) => {
        concat!(
            "(lower(first_name",
            $bytewise,
            ") >= $6 AND lower(first_name",
            $bytewise,
            ") < $7 OR lower(last_name",
            $bytewise,
            ") >= $6 AND lower(last_name",
            $bytewise,
            ") < $7)"
        )
    };
}

/// The one statement, with a condition in front that an index answers and that no absent parameter blurs. `$bytewise` is what
/// makes PostgreSQL fold and compare names the way SQLite always does.
macro_rules! accounts_where {
    ($first:expr, $bytewise:literal) => {
        concat!(
            "SELECT * FROM accounts WHERE ", $first, " id < $1 AND id >= $12
             AND ($2 IS NULL OR $2 = CASE WHEN state = 'blocked' AND blocked_until <= $3 THEN 'active' ELSE state END)
             AND ($4 IS NULL OR phone = $4 OR claimed_phone = $4)
             AND ($5 IS NULL OR email = $5 OR claimed_email = $5)
             AND ($6 IS NULL OR ", is_named!($bytewise), ")
             AND ($8 IS NULL OR ' ' || roles || ' ' LIKE $8 ESCAPE '\\')
             AND ($9 IS NULL OR created_at >= $9) AND ($10 IS NULL OR created_at < $10)
             ORDER BY id DESC LIMIT $11"
        )
    };
}

/// The statement for a filter, on a database whose words for "byte by byte" are these.
macro_rules! statement {
    ($filter:expr, $bytewise:literal) => {
        match $filter {
            AccountFilter { phone: Some(_), .. } => {
                accounts_where!("(phone = $4 OR claimed_phone = $4) AND", $bytewise)
            }
            AccountFilter { email: Some(_), .. } => {
                accounts_where!("(email = $5 OR claimed_email = $5) AND", $bytewise)
            }
            AccountFilter { role: Some(_), .. } => accounts_where!("roles <> '' AND", $bytewise),
            AccountFilter { name_prefix: Some(_), .. } => {
                accounts_where!(concat!(is_named!($bytewise), " AND"), $bytewise)
            }
            AccountFilter { state: Some(AccountState::Blocked | AccountState::Deleted), .. } => {
                accounts_where!("state <> 'active' AND", $bytewise)
            }
            _ => accounts_where!("", $bytewise),
        }
    };
}

impl Store {
    /// Accounts that a filter lets through, the latest created first, from below a cursor.
    pub async fn accounts_where(
        &self,
        filter: &AccountFilter,
        below: Option<AccountId>,
        limit: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<Account>, StoreError> {
        let statement = match self {
            Self::Postgres(_) => statement!(filter, " COLLATE \"C\""),
            Self::Sqlite(_) => statement!(filter, ""),
        };
        let from = filter.name_prefix.as_ref().map(|prefix| prefix.to_ascii_lowercase());
        // No name has the last code point there is, which is no character.
        let to = from.as_ref().map(|prefix| format!("{prefix}\u{10ffff}"));
        let role = filter.role.as_ref().map(|role| format!("% {} %", escaped(role.as_str())));
        let ceiling = filter.created_before.map_or(Uuid::max(), |before| first_id(before + SLACK));
        let below = below.map_or(ceiling, |below| below.0.min(ceiling));
        let floor = filter.created_from.map_or(Uuid::nil(), |from| first_id(from - SLACK));
        let accounts = on_pool!(self, pool => sqlx::query_as(statement)
            // Planned anew each time: no one plan is good for every filter.
            .persistent(false)
            .bind(below)
            .bind(filter.state.map(AccountState::as_str)).bind(now)
            .bind(filter.phone.as_ref().map(Phone::as_str)).bind(filter.email.as_ref().map(EmailAddress::as_str))
            .bind(from.as_deref()).bind(to.as_deref())
            .bind(role.as_deref())
            .bind(filter.created_from).bind(filter.created_before)
            .bind(limit).bind(floor)
            .fetch_all(pool).await)?;
        Ok(accounts)
    }
}

/// As a text that `LIKE` takes by the letter.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
