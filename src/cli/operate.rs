//! Commands for operators, straight on the database. Running nodes notice within a second or so.

use clap::Subcommand;

use super::Failure;
use crate::app::{longest_token, root_key, shared};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::Callers;
use crate::model::{Actor, CallerName, Cause, CertificateName, Permission, SigningKey};
use crate::root_key::{MacKey, Purpose};
use crate::store::Store;
use crate::token::{Haste, Keyring};

#[derive(Debug, Subcommand)]
pub(super) enum CallerCommand {
    /// Let a service or gateway in, and print its key. It is shown this once. One that is known by its certificate has none.
    Create {
        /// What to call it.
        #[arg(long)]
        name: CallerName,
        /// What it may do: `introspect`, `revoke`, `act_for_clients`, `admin`, `watch`, `check`.
        #[arg(long = "permission", required = true, num_args = 1..)]
        permissions: Vec<Permission>,
        /// The name in its TLS certificate by which it is known instead of a key: `uri:spiffe://…` or `dns:…`.
        #[arg(long = "certificate", value_name = "NAME")]
        certificate: Option<CertificateName>,
    },
    /// List who may call.
    List,
    /// Replace a caller's key, and print the new one.
    Rotate {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
    /// Shut a caller out.
    Delete {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// List the keys, newest first.
    List,
    /// Take the next step: publish a key, or put the published one to use.
    Rotate {
        /// Put a new key to use at once; verifiers with a cached set refuse its tokens until they ask again.
        #[arg(long)]
        force: bool,
        /// For a key that has leaked: put a new key to use at once and delete every other, whose tokens then stop to count.
        #[arg(long)]
        revoke: bool,
    },
}

impl CallerCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let (store, clock) = open(&config).await?;
        let derive = MacKey::new(&root_key(&config, &store).await?, Purpose::DeriveApiKeys);
        let callers = Callers::open(store, derive).await?;
        let cause = by_operator(&clock);
        match self {
            Self::Create { name, permissions, certificate: None } => {
                let permissions = permissions.into_iter().collect();
                let (_, key) = callers.create(&name, permissions, None, &cause).await?;
                println!("{}", key.expose());
            }
            Self::Create { name, permissions, certificate: Some(certificate) } => {
                let permissions = permissions.into_iter().collect();
                callers.create_certified(&name, permissions, certificate, None, &cause).await?;
            }
            Self::List => {
                for caller in callers.list("", i64::MAX).await? {
                    let certificate = caller.certificate_name.map(|name| format!("  {name}")).unwrap_or_default();
                    println!("{}  {}  {}{certificate}", caller.id, caller.name, caller.permissions);
                }
            }
            Self::Rotate { name } => {
                let (_, key) = callers.rotate_key(callers.id_of(&name).await?, None, &cause).await?;
                println!("{}", key.expose());
            }
            Self::Delete { name } => callers.delete(callers.id_of(&name).await?, &cause).await?,
        }
        Ok(())
    }
}

impl KeysCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let (store, clock) = open(&config).await?;
        let root_keys: Vec<_> =
            std::iter::once(root_key(&config, &store).await?).chain(config.previous_root_key.clone()).collect();
        let longest = longest_token(&config);
        let keyring = Keyring::open(store, clock.clone(), config.keys.clone(), longest, &root_keys).await?;
        match self {
            Self::List => keyring.keys().records.iter().for_each(print_key),
            Self::Rotate { force, revoke } => {
                let haste = Haste::of(force, revoke);
                print_key(&keyring.rotate(haste, &by_operator(&clock)).await?);
            }
        }
        Ok(())
    }
}

fn print_key(key: &SigningKey) {
    let since = key.retired_at.or(key.activated_at).unwrap_or(key.created_at);
    println!("{}  {}  {}  since {}", key.kid, key.algorithm, key.state.as_str(), since.to_rfc3339());
}

pub(super) async fn migrate(config: Config) -> Result<(), Failure> {
    Store::connect(config.database.url.expose(), config.database.max_connections).await?.migrate().await?;
    println!("the database has the shape that this release needs");
    Ok(())
}

/// The database, in its shape, and the time that its nodes go by.
pub(super) async fn open(config: &Config) -> Result<(Store, Clock), Failure> {
    let store = Store::connect(config.database.url.expose(), config.database.max_connections).await?;
    store.bring_to_shape(config.database.migrate).await?;
    let clock = shared(Clock::System, &store).await?;
    Ok((store, clock))
}

pub(super) fn by_operator(clock: &Clock) -> Cause {
    Cause { actor: Actor::Operator, ..Cause::system(clock.now()) }
}
