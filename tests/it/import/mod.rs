//! Accounts brought over from elsewhere: through the call, and by the command line from Django's database and from a file.

mod call;
mod command;
mod hashes;
mod source;

use countersign::model::Account;
use countersign::store::Store;
use sqlx::AssertSqlSafe;

/// The account with a phone number or a mail address, proved or claimed.
async fn account(store: &Store, identifier: &str) -> Option<Account> {
    const QUERY: &str = "SELECT * FROM accounts WHERE $1 IN (phone, email, claimed_phone, claimed_email)";
    match store {
        Store::Postgres(pool) => sqlx::query_as(QUERY).bind(identifier).fetch_optional(pool).await.unwrap(),
        Store::Sqlite(pool) => sqlx::query_as(QUERY).bind(identifier).fetch_optional(pool).await.unwrap(),
    }
}

/// How many rows a table has, or a table with a condition.
async fn rows(store: &Store, table: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    match store {
        Store::Postgres(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
        Store::Sqlite(pool) => sqlx::query_scalar(count).fetch_one(pool).await.unwrap(),
    }
}
