//! The users of a Django project, read from its own database and never written. Tables and columns are named by whoever calls.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row};

use super::connect::first_line;
use super::{ConnectError, Store, StoreError, on_pool};

/// A Django project's database.
#[derive(Debug)]
pub struct Django(Store);

/// What to read of users.
#[derive(Clone, Debug)]
pub struct UserTable {
    /// The table, with its schema before a dot where it needs one.
    pub table: String,
    /// The primary key.
    pub key: String,
    /// Other columns; an empty name stands for one that there is not.
    pub columns: Vec<String>,
}

/// Which groups users are in.
#[derive(Clone, Debug)]
pub struct GroupTables {
    /// The table that joins users and groups.
    pub memberships: String,
    /// Its column with the user's key.
    pub user: String,
    /// Its column with the group's key.
    pub group: String,
    /// The table of groups, which has `id` and `name`.
    pub groups: String,
}

/// A user: the key, and the columns in the order in which they were asked for. Everything is text, and times are in UTC.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserRow {
    /// The primary key.
    pub key: String,
    /// What the columns hold.
    pub columns: Vec<Option<String>>,
    /// The names of the user's groups.
    pub groups: Vec<String>,
}

impl std::fmt::Debug for UserRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserRow").field("key", &self.key).finish_non_exhaustive()
    }
}

/// A name as an identifier that cannot end early.
fn quoted(name: &str) -> String {
    name.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join(".")
}

/// A column's name, in which a dot is a character like any other.
fn column(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a constant without a type: each database takes it for what it is compared with, a number or a text.
fn constant(text: &str) -> String {
    format!("'{}'", text.replace('\0', "").replace('\'', "''"))
}

impl UserTable {
    /// The next users, by primary key.
    fn page(&self, after: Option<&str>, limit: u32) -> String {
        // With its table, or PostgreSQL would sort by the text that is selected under the same name.
        let key = format!("u.{}", column(&self.key));
        let mut query = format!("SELECT CAST({key} AS TEXT)");
        for name in &self.columns {
            // Writing to a string does not fail.
            let _ = match name.as_str() {
                "" => write!(query, ", CAST(NULL AS TEXT)"),
                name => write!(query, ", CAST(u.{} AS TEXT)", column(name)),
            };
        }
        let _ = write!(query, " FROM {} u", quoted(&self.table));
        if let Some(after) = after {
            let _ = write!(query, " WHERE {key} > {}", constant(after));
        }
        let _ = write!(query, " ORDER BY {key} LIMIT {limit}");
        query
    }
}

impl GroupTables {
    /// Who between two keys is in which groups.
    fn page(&self, first: &str, last: &str) -> String {
        format!(
            "SELECT CAST(m.{user} AS TEXT), CAST(g.\"name\" AS TEXT) FROM {memberships} m
             JOIN {groups} g ON g.\"id\" = m.{group}
             WHERE m.{user} >= {first} AND m.{user} <= {last}",
            user = column(&self.user),
            memberships = quoted(&self.memberships),
            groups = quoted(&self.groups),
            group = column(&self.group),
            first = constant(first),
            last = constant(last),
        )
    }
}

impl Django {
    /// Opens the database, to read only.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        let malformed = |error: sqlx::Error| ConnectError::Url(first_line(&error));
        let patience = Duration::from_secs(5);
        if url.starts_with("sqlite:") {
            let options =
                SqliteConnectOptions::from_str(url).map_err(malformed)?.read_only(true).busy_timeout(patience);
            let place = options.get_filename().display().to_string();
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
            let unreachable = |error| ConnectError::Unreachable { place, cause: first_line(&error) };
            Ok(Self(Store::Sqlite(pool.map_err(unreachable)?)))
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(malformed)?.application_name("countersign import");
            let options = options.options([
                ("default_transaction_read_only", "on"),
                ("standard_conforming_strings", "on"),
                ("statement_timeout", "4s"),
                ("DateStyle", "ISO"),
                ("TimeZone", "UTC"),
            ]);
            let place = format!("{}:{}", options.get_host(), options.get_port());
            let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(patience).connect_with(options).await;
            let unreachable = |error| ConnectError::Unreachable { place, cause: first_line(&error) };
            Ok(Self(Store::Postgres(pool.map_err(unreachable)?)))
        } else {
            Err(ConnectError::Scheme)
        }
    }

    /// The next users behind a primary key, and their groups where these are asked for.
    pub async fn users(
        &self,
        table: &UserTable,
        groups: Option<&GroupTables>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<UserRow>, StoreError> {
        let query = table.page(after, limit);
        let width = table.columns.len();
        let mut users: Vec<UserRow> = on_pool!(&self.0, pool => {
            let rows = sqlx::query(AssertSqlSafe(query.as_str())).persistent(false).fetch_all(pool).await?;
            rows.iter().map(|row| {
                let columns = (1..=width).map(|at| row.try_get(at)).collect::<sqlx::Result<_>>()?;
                Ok::<_, StoreError>(UserRow { key: row.try_get(0)?, columns, groups: Vec::new() })
            }).collect::<Result<_, _>>()
        })?;
        let (Some(groups), Some(first), Some(last)) = (groups, users.first(), users.last()) else { return Ok(users) };
        let query = groups.page(&first.key, &last.key);
        let memberships: Vec<(String, String)> = on_pool!(&self.0, pool => sqlx::query_as(AssertSqlSafe(query.as_str()))
            .persistent(false)
            .fetch_all(pool).await)?;
        let mut of_user = std::collections::HashMap::<String, Vec<String>>::new();
        for (user, group) in memberships {
            of_user.entry(user).or_default().push(group);
        }
        for user in &mut users {
            user.groups = of_user.remove(&user.key).unwrap_or_default();
        }
        Ok(users)
    }

    /// Lets go of the connection.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_and_no_key_ends_early() {
        let table = UserTable {
            table: "app.us\"er; DROP".to_owned(),
            key: "i\"d".to_owned(),
            columns: vec!["e.mail".to_owned(), String::new()],
        };
        assert_eq!(
            table.page(Some("1' OR '1'='1"), 10),
            "SELECT CAST(u.\"i\"\"d\" AS TEXT), CAST(u.\"e.mail\" AS TEXT), CAST(NULL AS TEXT) \
             FROM \"app\".\"us\"\"er; DROP\" u WHERE u.\"i\"\"d\" > '1'' OR ''1''=''1' ORDER BY u.\"i\"\"d\" LIMIT 10"
        );
    }
}
