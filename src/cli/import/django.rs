//! The users of a Django project. What its own user table is called and holds is the default; a model of one's own is
//! described by flags.

use chrono::{DateTime, NaiveDateTime, Utc};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::{Manner, PAGE, Row, Run};
use crate::cli::Failure;
use crate::config::Config;
use crate::identity::{Record, Unfit};
use crate::secret::Secret;
use crate::store::{Django, GroupTables, UserRow, UserTable};

#[derive(Args)]
pub(in crate::cli) struct DjangoImport {
    /// Django's database: `postgres://…`, or `sqlite:` and a path.
    #[arg(long, env = "COUNTERSIGN_IMPORT_URL", hide_env_values = true)]
    url: String,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    manner: Manner,
}

/// What of a user is read, and as what.
#[derive(Debug, Args)]
struct Reading {
    /// What the user name is.
    #[arg(long, value_enum, default_value_t = Username::Ignore)]
    username_is: Username,
    /// The column with a phone number.
    #[arg(long, value_name = "COLUMN")]
    phone_column: Option<String>,
    /// A column to keep in the metadata, as text; may be repeated.
    #[arg(long = "metadata-column", value_name = "COLUMN=KEY", value_parser = pair)]
    metadata: Vec<(String, String)>,
    /// The role of users with `is_staff`.
    #[arg(long, value_name = "ROLE")]
    staff_role: Option<String>,
    /// The role of users with `is_superuser`. `admin` lets them administer Countersign.
    #[arg(long, value_name = "ROLE")]
    superuser_role: Option<String>,
    /// Make a role of each group: `Content editors` becomes `content-editors`.
    #[arg(long)]
    groups: bool,
    #[command(flatten)]
    names: Names,
}

impl std::fmt::Debug for DjangoImport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DjangoImport")
            .field("reading", &self.reading)
            .field("manner", &self.manner)
            .finish_non_exhaustive()
    }
}

/// What tables and columns are called. An empty name says that there is no such column.
#[derive(Debug, Args)]
struct Names {
    /// The table of users.
    #[arg(long, default_value = "auth_user")]
    table: String,
    /// Its primary key.
    #[arg(long, default_value = "id")]
    id_column: String,
    /// The user name; read only where `--username-is` says what it is.
    #[arg(long, default_value = "username")]
    username_column: String,
    /// The password's hash.
    #[arg(long, default_value = "password")]
    password_column: String,
    /// The given name.
    #[arg(long, default_value = "first_name")]
    first_name_column: String,
    /// The family name.
    #[arg(long, default_value = "last_name")]
    last_name_column: String,
    /// The mail address.
    #[arg(long, default_value = "email")]
    email_column: String,
    /// Whether the user may sign in.
    #[arg(long, default_value = "is_active")]
    active_column: String,
    /// Whether the user is staff.
    #[arg(long, default_value = "is_staff")]
    staff_column: String,
    /// Whether the user is a superuser.
    #[arg(long, default_value = "is_superuser")]
    superuser_column: String,
    /// When the user came into being.
    #[arg(long, default_value = "date_joined")]
    joined_column: String,
    /// When the user last signed in.
    #[arg(long, default_value = "last_login")]
    last_login_column: String,
    /// The table that joins users and groups.
    #[arg(long, default_value = "auth_user_groups")]
    memberships_table: String,
    /// Its column with the user's key.
    #[arg(long, default_value = "user_id")]
    memberships_user_column: String,
    /// Its column with the group's key.
    #[arg(long, default_value = "group_id")]
    memberships_group_column: String,
    /// The table of groups.
    #[arg(long, default_value = "auth_group")]
    groups_table: String,
}

/// What user names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Username {
    /// Phone numbers.
    Phone,
    /// Mail addresses.
    Email,
    /// Neither.
    Ignore,
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (column, key) = text.split_once('=').ok_or("must be COLUMN=KEY")?;
    if column.is_empty() || key.is_empty() { Err("must be COLUMN=KEY") } else { Ok((column.into(), key.into())) }
}

impl DjangoImport {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let Self { url, manner, reading } = self;
        let url = Secret::new(url);
        let django = Django::connect(url.expose()).await?;
        let (table, groups) = (reading.table(), reading.group_tables());
        let mut run = Run::begin(manner, &config).await?;
        loop {
            let users = django.users(&table, groups.as_ref(), run.last.as_deref(), PAGE).await;
            let users = users.map_err(|error| run.broken_off(&error))?;
            if users.is_empty() {
                break;
            }
            run.take(users.into_iter().map(|user| reading.row(user)).collect()).await?;
        }
        django.close().await;
        run.end()
    }
}

impl Reading {
    /// The columns in the order in which [`Reading::row`] takes them.
    fn table(&self) -> UserTable {
        let names = &self.names;
        let username = if self.username_is == Username::Ignore { "" } else { &names.username_column };
        let columns = [
            username,
            self.phone_column.as_deref().unwrap_or_default(),
            &names.email_column,
            &names.password_column,
            &names.first_name_column,
            &names.last_name_column,
            &names.active_column,
            if self.staff_role.is_some() { &names.staff_column } else { "" },
            if self.superuser_role.is_some() { &names.superuser_column } else { "" },
            &names.joined_column,
            &names.last_login_column,
        ];
        let columns = columns.into_iter().chain(self.metadata.iter().map(|(column, _)| column.as_str()));
        UserTable {
            table: names.table.clone(),
            key: names.id_column.clone(),
            columns: columns.map(str::to_owned).collect(),
        }
    }

    fn group_tables(&self) -> Option<GroupTables> {
        self.groups.then(|| GroupTables {
            memberships: self.names.memberships_table.clone(),
            user: self.names.memberships_user_column.clone(),
            group: self.names.memberships_group_column.clone(),
            groups: self.names.groups_table.clone(),
        })
    }

    fn row(&self, user: UserRow) -> Row {
        let place = Map::from_iter([("id".to_owned(), Value::from(user.key.as_str()))]);
        Row { key: user.key.clone(), place, record: self.record(user) }
    }

    fn record(&self, user: UserRow) -> Result<Record, Unfit> {
        let mut columns = user.columns.into_iter();
        let mut text = || columns.next().flatten().unwrap_or_default();
        let (username, phone, email) = (text(), text(), text());
        let mut record = Record { phone, email, ..Record::default() };
        let taken_for = match self.username_is {
            Username::Phone => Some(&mut record.phone),
            Username::Email => Some(&mut record.email),
            Username::Ignore => None,
        };
        if let Some(field) = taken_for.filter(|field| field.trim().is_empty()) {
            *field = username;
        }
        (record.password_hash, record.first_name, record.last_name) = (text(), text(), text());
        record.blocked = !truth("is_active", &text(), true)?;
        let is_staff = truth("is_staff", &text(), false)?;
        let is_superuser = truth("is_superuser", &text(), false)?;
        record.created_at = time("date_joined", &text())?;
        record.last_login_at = time("last_login", &text())?;
        for (_, key) in &self.metadata {
            let value = text();
            if !value.is_empty() {
                record.metadata.insert(key.clone(), Value::from(value));
            }
        }
        record.roles = user.groups.iter().map(|group| role(group)).collect();
        record.roles.extend(self.staff_role.clone().filter(|_| is_staff));
        record.roles.extend(self.superuser_role.clone().filter(|_| is_superuser));
        Ok(record)
    }
}

/// A group's name as a role.
fn role(group: &str) -> String {
    group.split_whitespace().collect::<Vec<_>>().join("-").to_lowercase()
}

/// A truth value in the words of either database.
fn truth(field: &'static str, text: &str, unsaid: bool) -> Result<bool, Unfit> {
    match text {
        "" => Ok(unsaid),
        "1" | "t" | "true" => Ok(true),
        "0" | "f" | "false" => Ok(false),
        _ => Err(Unfit::new(field, "must be a truth value")),
    }
}

/// A time. Without a zone it is UTC, which is how Django writes it to SQLite.
fn time(field: &'static str, text: &str) -> Result<Option<DateTime<Utc>>, Unfit> {
    if text.is_empty() {
        return Ok(None);
    }
    let text = text.replacen('T', " ", 1);
    let zoned = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z").map(|time| time.to_utc());
    let naive = || NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").map(|time| time.and_utc());
    zoned.or_else(|_| naive()).map(Some).map_err(|_| Unfit::new(field, "must be a time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_either_database_are_read() {
        for (text, read) in [
            ("2026-01-31 12:00:00", "2026-01-31T12:00:00+00:00"),
            ("2026-01-31 12:00:00.250000", "2026-01-31T12:00:00.250+00:00"),
            ("2026-01-31 12:00:00.25+00", "2026-01-31T12:00:00.250+00:00"),
            ("2026-01-31 12:00:00+03:30", "2026-01-31T08:30:00+00:00"),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00+00:00"),
        ] {
            assert_eq!(time("date_joined", text).unwrap().unwrap().to_rfc3339(), read, "{text}");
        }
        assert_eq!(time("date_joined", ""), Ok(None));
        for text in ["infinity", "2026-01-31", "yesterday", "2026-13-01 00:00:00"] {
            assert_eq!(time("date_joined", text).unwrap_err().to_string(), "date_joined: must be a time", "{text}");
        }
    }

    #[test]
    fn a_group_becomes_a_role() {
        assert_eq!(role("Content  Editors "), "content-editors");
    }
}
