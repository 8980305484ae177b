//! The service put together: everything that all requests share, opened in the order in which one needs the other.

mod figures;
mod ground;

use std::sync::Arc;

use chrono::TimeDelta;
use tokio::sync::mpsc;

use self::ground::Ground;
use crate::cache::{Cache, CacheError};
use crate::clock::Clock;
use crate::config::{Config, Profile};
use crate::connect::{self, IdentityProvider};
use crate::credential::{Codes, Passwords};
use crate::events::Relay;
use crate::events::webhooks::{PostError, Webhooks};
use crate::guard::Guard;
use crate::identity::{Accounts, CallerError, Callers, Owners, Verifications, Visitors};
use crate::load::Load;
use crate::metrics::Metrics;
use crate::model::{Cause, Message, Permission};
use crate::notify::{Notifier, SetupError};
use crate::root_key::{MacKey, Purpose, RootKey};
use crate::secret::Secret;
use crate::session::{Departures, Flows, Sessions};
use crate::shutdown::Nudge;
use crate::store::{ConnectError, FileLock, MigrateError, Store, StoreError};
use crate::token::{AccessTokens, Keyring, KeyringError, Replica, Revocations};
use crate::upkeep::Upkeep;

/// Under which name the caller of a development installation goes.
const DEVELOPMENT_CALLER: &str = "development";
/// Where a development installation keeps its root key.
const DEVELOPMENT_ROOT_KEY: &str = "development_root_key";

/// One node.
#[derive(Debug)]
pub struct App {
    /// Its settings.
    pub config: Config,
    /// Its time.
    pub clock: Clock,
    /// What it counts.
    pub metrics: Metrics,
    /// What it takes on at a time.
    pub load: Load,
    /// The database.
    pub store: Store,
    /// The same database through connections that are set apart for what introspection stands on.
    pub vital: Store,
    /// The same again for what the node does by itself: requests and jobs do not wait for each other. It is used on the background's
    /// event loop only, also where a request asks for a job, because a connection lives on the loop that opened it.
    pub background: Store,
    /// The cache.
    pub cache: Cache,
    /// The way of codes out.
    pub notifier: Notifier,
    /// Whom to ask whether a national id belongs to a person.
    pub identity_provider: IdentityProvider,
    /// The keys that sign.
    pub keyring: Arc<Keyring>,
    /// What has been taken back.
    pub replica: Arc<Replica>,
    /// What keeps that fresh.
    pub revocations: Arc<Revocations>,
    /// Tokens, issued and judged.
    pub access: Arc<AccessTokens>,
    /// Services and gateways.
    pub callers: Callers,
    /// Endpoints that events are posted to.
    pub webhooks: Arc<Webhooks>,
    /// People.
    pub accounts: Accounts,
    /// The same people, with a proof in hand.
    pub owners: Owners,
    /// People who leave.
    pub departures: Departures,
    /// Who people are.
    pub verifications: Verifications,
    /// Visitors.
    pub visitors: Visitors,
    /// Codes.
    pub codes: Codes,
    /// Passwords.
    pub passwords: Passwords,
    /// Sessions.
    pub sessions: Sessions,
    /// Guided sign-ins.
    pub flows: Flows,
    /// The request to look at files again.
    pub nudge: Nudge,
    /// What keeps the installation in order.
    pub upkeep: Arc<Upkeep>,
    /// The way of events out.
    pub relay: Arc<Relay>,
    _lock: FileLock,
}

/// Why the service does not start: a sentence that says what is wrong and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be reached.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// The database cannot be brought to its shape.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// The database lacks its shape, or does not answer.
    #[error("{0}: {cause}; if it has never been migrated, run `countersign migrate`", cause = cause_of(.0))]
    Store(#[from] StoreError),
    /// The cache cannot be reached.
    #[error("{0}; check that it runs and that cache.url is right")]
    Cache(#[from] CacheError),
    /// The keys cannot be used.
    #[error("{0}; set secrets.root_key (or secrets.previous_root_key) to the key this database was set up with")]
    Keyring(#[from] KeyringError),
    /// The root key in the database is none.
    #[error(
        "the development root key in the database is damaged; set secrets.root_key, or start with an empty database"
    )]
    RootKey,
    /// The development caller cannot be set up.
    #[error("the development caller cannot be set up: {0}")]
    Caller(#[from] CallerError),
    /// The threads that hash passwords cannot be started.
    #[error("passwords cannot be hashed: {0}; check password.threads and how many threads the process may have")]
    Passwords(#[source] std::io::Error),
    /// Messages cannot be sent.
    #[error(transparent)]
    Notify(#[from] SetupError),
    /// Nothing can be posted to endpoints of others.
    #[error("events cannot be posted to webhooks: {0}")]
    Webhooks(#[source] PostError),
    /// The identity provider cannot be asked.
    #[error(transparent)]
    IdentityProvider(#[from] connect::SetupError),
}

fn cause_of(error: &StoreError) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

impl App {
    /// Opens everything. `observer`, where there is one, gets the messages that would go to the log.
    pub async fn open(
        config: Config,
        clock: Clock,
        observer: Option<mpsc::UnboundedSender<Message>>,
    ) -> Result<Self, StartError> {
        let metrics = Metrics::new();
        let url = config.database.url.expose();
        let lock = FileLock::acquire(url)?;
        let store = store(&config).await?;
        let clock = shared(clock, &store).await?;
        let root_key = root_key(&config, &store).await?;
        let mac = |purpose| MacKey::new(&root_key, purpose);
        // What introspection stands on must not queue behind a flood of sign-ins.
        let (vital, background) = (store.set_apart(url).await?, store.set_apart(url).await?);
        let patience = config.cache.timeout.to_std().unwrap_or_default();
        let (place, ca_file, key_prefix) = (config.cache.url.expose(), &config.cache.ca_file, &config.cache.key_prefix);
        let cache = Cache::connect(place, ca_file, key_prefix, patience, clock.clone()).await?;
        let identity_provider = IdentityProvider::new(&config.identity, clock.clone())?;
        let notifier = Notifier::start(&config.notify, clock.clone(), metrics.clone(), observer.as_ref())?;

        let keyring = keyring(&config, &root_key, vital.clone(), clock.clone()).await?;
        let replica = Arc::new(Replica::default());
        let revocations = revocations(&config, &replica, &vital, &cache, &clock).await?;
        let access = Arc::new(AccessTokens::new(
            Arc::clone(&keyring),
            Arc::clone(&replica),
            vital.clone(),
            clock.clone(),
            config.token.clone(),
            config.revocation.bound,
            metrics.clone(),
        ));
        let callers = callers(&config, vital.clone(), mac(Purpose::DeriveApiKeys), &clock).await?;
        let passwords = Passwords::start(&config.password).map_err(StartError::Passwords)?;
        let limits = config.limits.clone();
        let guard = Guard::new(cache.clone(), clock.clone(), limits, mac(Purpose::HashCodes), metrics.clone());
        let ground = Ground {
            config: &config,
            root_key: &root_key,
            store: &store,
            background: &background,
            cache: &cache,
            clock: &clock,
        };
        let webhooks = ground.webhooks()?;
        let codes = ground.codes(&guard, &notifier);
        let sessions = Sessions {
            store: store.clone(),
            codes: codes.clone(),
            passwords: passwords.clone(),
            resets: ground.resets(&guard, &notifier),
            guard: guard.clone(),
            notifier: notifier.clone(),
            access: Arc::clone(&access),
            revocations: Arc::clone(&revocations),
            refresh_tokens: ground.refresh_tokens(),
            intents: mac(Purpose::DigestIntents),
            clock: clock.clone(),
            settings: config.session.clone(),
            open_registration: config.accounts.open_registration,
        };
        let flows = ground.flows(&sessions);
        let relay = Arc::new(ground.relay(&metrics, &webhooks));
        let accounts = accounts_beside(&sessions);
        let departures = Departures { sessions: sessions.clone(), accounts: accounts.clone() };
        let verifications = ground.verifications(&guard, &identity_provider);
        let owners = ground.owners(&codes, &notifier);
        let upkeep = ground.upkeep(&keyring, &relay, &metrics);
        let visitors = Visitors { cache: cache.clone(), guard, access: Arc::clone(&access), clock: clock.clone() };
        // Workers make connections of their own.
        store.close_idle();
        Ok(Self {
            load: Load::new(&config.load, &config.callers, clock.clone(), metrics.clone()),
            accounts,
            config,
            clock,
            metrics,
            store,
            vital,
            background,
            cache,
            notifier,
            identity_provider,
            keyring,
            replica,
            revocations,
            access,
            callers,
            webhooks,
            owners,
            departures,
            verifications,
            visitors,
            codes,
            passwords,
            flows,
            relay,
            sessions,
            nudge: Nudge::default(),
            upkeep: Arc::new(upkeep),
            _lock: lock,
        })
    }

    /// A caller that may do everything, for trying things out. There is none in production.
    pub async fn development_key(&self) -> Result<Option<Secret<String>>, StartError> {
        if self.config.profile == Profile::Production {
            return Ok(None);
        }
        let all = Permission::ALL.iter().copied().collect();
        let cause = Cause::system(self.clock.now());
        Ok(Some(self.callers.create_for_development(DEVELOPMENT_CALLER, all, &cause).await?))
    }
}

/// The database, in its shape.
async fn store(config: &Config) -> Result<Store, StartError> {
    let store = Store::connect(config.database.url.expose(), config.database.max_connections).await?;
    store.bring_to_shape(config.database.migrate).await?;
    Ok(store)
}

/// What was taken back, as far as the database knows now.
async fn revocations(
    config: &Config,
    replica: &Arc<Replica>,
    store: &Store,
    cache: &Cache,
    clock: &Clock,
) -> Result<Arc<Revocations>, StoreError> {
    let (replica, store, watchers) = (Arc::clone(replica), store.clone(), config.revocation.watchers);
    let revocations = Revocations::new(replica, store, cache.clone(), clock.clone(), watchers);
    revocations.reconcile().await?;
    Ok(Arc::new(revocations))
}

/// Services and gateways, but in production not the one for trying things out.
async fn callers(config: &Config, store: Store, keys: MacKey, clock: &Clock) -> Result<Callers, StartError> {
    let callers = Callers::open(store, keys).await?;
    if config.profile == Profile::Production {
        callers.shut_out(DEVELOPMENT_CALLER, &Cause::system(clock.now())).await?;
    }
    Ok(callers)
}

async fn keyring(config: &Config, root_key: &RootKey, store: Store, clock: Clock) -> Result<Arc<Keyring>, StartError> {
    let root_keys: Vec<_> = std::iter::once(root_key.clone()).chain(config.previous_root_key.clone()).collect();
    let keys = config.keys.clone();
    Ok(Arc::new(Keyring::open(store, clock, keys, longest_token(config), &root_keys).await?))
}

/// Accounts stand on what sessions stand on.
fn accounts_beside(sessions: &Sessions) -> Accounts {
    Accounts {
        store: sessions.store.clone(),
        passwords: sessions.passwords.clone(),
        revocations: Arc::clone(&sessions.revocations),
        keyring: Arc::clone(&sessions.access.keyring),
        intents: sessions.intents.clone(),
        clock: sessions.clock.clone(),
    }
}

/// Accounts for a command that works on the database beside running nodes. They learn from the database what it takes back.
pub async fn accounts(config: &Config, store: Store, clock: Clock) -> Result<Accounts, StartError> {
    let root_key = root_key(config, &store).await?;
    let nobody_hears = nobody_hears(&clock).await?;
    Ok(Accounts {
        passwords: Passwords::start(&config.password).map_err(StartError::Passwords)?,
        revocations: Arc::new(Revocations::new(Arc::default(), store.clone(), nobody_hears, clock.clone(), 0)),
        keyring: keyring(config, &root_key, store.clone(), clock.clone()).await?,
        intents: MacKey::new(&root_key, Purpose::DigestIntents),
        store,
        clock,
    })
}

/// A cache for commands, which have nobody to share one with.
async fn nobody_hears(clock: &Clock) -> Result<Cache, CacheError> {
    Cache::connect("memory:", "", "", std::time::Duration::ZERO, clock.clone()).await
}

/// The jobs, for a command that does one beside running nodes.
pub async fn upkeep(config: &Config, store: Store, clock: Clock) -> Result<Upkeep, StartError> {
    let root_key = root_key(config, &store).await?;
    let keyring = keyring(config, &root_key, store.clone(), clock.clone()).await?;
    let (metrics, cache) = (Metrics::new(), nobody_hears(&clock).await?);
    let ground =
        Ground { config, root_key: &root_key, store: &store, background: &store, cache: &cache, clock: &clock };
    let relay = Arc::new(ground.relay(&metrics, &ground.webhooks()?));
    Ok(ground.upkeep(&keyring, &relay, &metrics))
}

/// The time of the database in place of the machine's, where several nodes share one. A machine's clock may jump, or be wrong.
pub async fn shared(clock: Clock, store: &Store) -> Result<Clock, StoreError> {
    match clock {
        Clock::System => Ok(store.time().await?.map_or(clock, Clock::kept)),
        Clock::Kept(_) | Clock::Manual(_) => Ok(clock),
    }
}

/// The root key that is configured; in development, one that the nodes agree on through their database.
pub async fn root_key(config: &Config, store: &Store) -> Result<RootKey, StartError> {
    if let Some(key) = &config.root_key {
        return Ok(key.clone());
    }
    let proposal = RootKey::generate().to_base64();
    let agreed = Secret::new(store.agree_on_setting(DEVELOPMENT_ROOT_KEY, proposal.expose()).await?);
    RootKey::parse(agreed.expose()).map_err(|_| StartError::RootKey)
}

/// The longest life of a token that a node with this configuration signs.
#[must_use]
pub fn longest_token(config: &Config) -> TimeDelta {
    config.token.access_lifetime.max(config.token.anonymous_lifetime)
}
