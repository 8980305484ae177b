//! People's accounts, straight on the database: the first administrator is made here. Running nodes learn of blocks and
//! deletions by comparing themselves with the database.

use std::io::Read;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::Failure;
use super::operate::{by_operator, open};
use crate::app;
use crate::config::Config;
use crate::identity::{Accounts, NewPerson};
use crate::model::{Account, AccountId, AccountState, EmailAddress, Locale, Phone, Region, Role, parse_name};
use crate::secret::Secret;
use crate::store::{AccountChange, AccountFilter};

/// More than any password has.
const MOST_PASSWORD_BYTES: u64 = 4_096;

#[derive(Debug, Subcommand)]
pub(super) enum AccountCommand {
    /// Open an account, and print its identifier. Phone number and mail address count as proved.
    Create(Create),
    /// List accounts, the latest first.
    List {
        /// Only those in this state: `active`, `blocked`, `deleted`.
        #[arg(long)]
        state: Option<AccountState>,
        /// Only those with this role.
        #[arg(long)]
        role: Option<Role>,
        /// Only those whose given or family name begins like this.
        #[arg(long)]
        name: Option<String>,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show an account.
    Show(Whose),
    /// Give an account these roles in place of those it has; without any it has none. They stand in tokens from the next
    /// refresh on.
    Roles {
        #[command(flatten)]
        whose: Whose,
        /// A role; `admin` administers this service.
        #[arg(long = "role", num_args = 1..)]
        roles: Vec<Role>,
    },
    /// Shut an account: its sessions end, its tokens stop to count, and nobody signs in to it.
    Block {
        #[command(flatten)]
        whose: Whose,
        /// Why, for operators and the audit trail.
        #[arg(long, default_value = "")]
        reason: String,
        /// When the block ends by itself, such as `2027-03-21T00:00:00Z`.
        #[arg(long)]
        until: Option<DateTime<Utc>>,
    },
    /// Lift a block.
    Unblock(Whose),
    /// Delete an account, and erase what is known of the person.
    Delete(Whose),
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The phone number.
    #[arg(long, required_unless_present = "email")]
    phone: Option<String>,
    /// The mail address.
    #[arg(long)]
    email: Option<String>,
    /// A role; `admin` administers this service.
    #[arg(long = "role", num_args = 1..)]
    roles: Vec<Role>,
    /// Given name.
    #[arg(long, default_value = "")]
    first_name: String,
    /// Family name.
    #[arg(long, default_value = "")]
    last_name: String,
    /// The language of messages: `en`, `fa`.
    #[arg(long)]
    locale: Option<Locale>,
    /// A file that holds a password; `-` reads it from standard input. Without one the person signs in with codes.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whose {
    /// By its identifier.
    #[arg(long)]
    id: Option<AccountId>,
    /// By phone number.
    #[arg(long)]
    phone: Option<String>,
    /// By mail address.
    #[arg(long)]
    email: Option<String>,
}

impl Whose {
    async fn find(&self, accounts: &Accounts, region: Region) -> Result<Account, Failure> {
        if let Some(id) = self.id {
            return Ok(accounts.profile(id).await?);
        }
        let phone = self.phone.as_deref().map(|text| phone(text, region)).transpose()?;
        let email = self.email.as_deref().map(email).transpose()?;
        let filter = AccountFilter { phone, email, ..AccountFilter::default() };
        let found = accounts.list(&filter, None, 50).await?;
        // Whoever has proved it comes before those who only say so.
        let owner = |account: &&Account| {
            (filter.phone.is_some() && account.phone == filter.phone)
                || (filter.email.is_some() && account.email == filter.email)
        };
        match (found.iter().find(owner), found.as_slice()) {
            (Some(account), _) | (None, [account]) => Ok(account.clone()),
            (None, []) => Err("there is no such account".into()),
            (None, _) => Err("several accounts claim this; say which with --id".into()),
        }
    }
}

impl AccountCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let region = config.accounts.default_region;
        let (store, clock) = open(&config).await?;
        let cause = by_operator(&clock);
        let accounts = app::accounts(&config, store, clock).await?;
        match self {
            Self::Create(create) => {
                let account = accounts.create(create.person(region)?, None, &cause).await?;
                println!("{}", account.id);
            }
            Self::List { state, role, name, limit } => {
                let name_prefix = name.map(|prefix| self::name("--name", &prefix)).transpose()?;
                let filter = AccountFilter { state, name_prefix, role, ..AccountFilter::default() };
                for account in accounts.list(&filter, None, limit.into()).await? {
                    print_line(&account, cause.at);
                }
            }
            Self::Show(whose) => print_whole(&whose.find(&accounts, region).await?, cause.at),
            Self::Roles { whose, roles } => {
                let id = whose.find(&accounts, region).await?.id;
                let change = AccountChange { roles: Some(roles.into_iter().collect()), ..AccountChange::default() };
                accounts.update(id, &change, &cause).await?;
            }
            Self::Block { whose, reason, until } => {
                if until.is_some_and(|until| until <= cause.at) {
                    return Err("--until must be in the future".into());
                }
                if reason.len() > 256 || reason.chars().any(char::is_control) {
                    return Err("--reason must be at most 256 bytes, without control characters".into());
                }
                let id = whose.find(&accounts, region).await?.id;
                accounts.block(id, reason, until, &cause).await?;
            }
            Self::Unblock(whose) => {
                let id = whose.find(&accounts, region).await?.id;
                accounts.unblock(id, &cause).await?;
            }
            Self::Delete(whose) => accounts.delete(whose.find(&accounts, region).await?.id, &cause).await?,
        }
        Ok(())
    }
}

impl Create {
    fn person(self, region: Region) -> Result<NewPerson, Failure> {
        Ok(NewPerson {
            phone: self.phone.as_deref().map(|text| phone(text, region)).transpose()?,
            email: self.email.as_deref().map(email).transpose()?,
            first_name: name("--first-name", &self.first_name)?,
            last_name: name("--last-name", &self.last_name)?,
            roles: self.roles.into_iter().collect(),
            locale: self.locale.map(|locale| locale.as_str().to_owned()).unwrap_or_default(),
            password: self.password_file.as_deref().map(password).transpose()?,
            ..NewPerson::default()
        })
    }
}

fn name(option: &str, text: &str) -> Result<String, Failure> {
    parse_name(text).map_err(|fault| format!("{option} {fault}").into())
}

fn phone(text: &str, region: Region) -> Result<Phone, Failure> {
    Phone::parse(text, region).map_err(|fault| format!("--phone {fault}").into())
}

fn email(text: &str) -> Result<EmailAddress, Failure> {
    EmailAddress::parse(text).map_err(|fault| format!("--email {fault}").into())
}

/// Reads a password without the end of its line.
fn password(path: &std::path::Path) -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().take(MOST_PASSWORD_BYTES).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MOST_PASSWORD_BYTES).read_to_string(&mut text))
    };
    let mut text = Secret::new(text);
    read.map_err(|error| format!("the password cannot be read from {}: {error}", path.display()))?;
    let line = text.expose().strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    if let Some(line) = line {
        text = Secret::new(line.to_owned());
    }
    if text.expose().is_empty() {
        return Err(format!("there is no password in {}", path.display()).into());
    }
    Ok(text)
}

fn print_line(account: &Account, now: DateTime<Utc>) {
    let phone = account.phone.as_ref().or(account.claimed_phone.as_ref()).map_or("-", Phone::as_str);
    let email = account.email.as_ref().or(account.claimed_email.as_ref()).map_or("-", EmailAddress::as_str);
    println!("{}  {}  {phone}  {email}  {}", account.id, account.state_at(now).as_str(), account.roles);
}

fn print_whole(account: &Account, now: DateTime<Utc>) {
    let state = account.state_at(now);
    let time = |time: Option<DateTime<Utc>>| time.map(|time| time.to_rfc3339()).unwrap_or_default();
    let proved = |is_proved: bool| if is_proved { "" } else { " (not proved)" };
    let phone = account.phone.as_ref().or(account.claimed_phone.as_ref());
    let email = account.email.as_ref().or(account.claimed_email.as_ref());
    let mut lines = vec![
        ("account", account.id.to_string()),
        ("state", state.as_str().to_owned()),
        ("phone", phone.map(|it| format!("{}{}", it.as_str(), proved(account.phone.is_some()))).unwrap_or_default()),
        ("email", email.map(|it| format!("{}{}", it.as_str(), proved(account.email.is_some()))).unwrap_or_default()),
        ("name", format!("{} {}", account.first_name, account.last_name).trim().to_owned()),
        ("roles", account.roles.to_string()),
        ("created", time(Some(account.created_at))),
        ("last sign-in", time(account.last_login_at)),
    ];
    if state == AccountState::Blocked {
        lines.push(("blocked until", time(account.blocked_until)));
        lines.push(("blocked for", account.block_reason.clone()));
    }
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        println!("{name:<14}{value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bound_by_the_same_rules_as_elsewhere() {
        assert_eq!(name("--name", " Ali ").unwrap(), "Ali");
        for text in ["a\u{202e}b", "a\0b", &"a".repeat(129)] {
            assert!(name("--name", text).unwrap_err().to_string().starts_with("--name must "), "{text:?}");
        }
    }
}
