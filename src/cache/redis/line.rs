//! Connections to Redis. Owns the address, the time-outs, reconnecting and the words for what went wrong; leaves what is
//! said over a connection to others.
//!
//! fred could reconnect by itself. It is not asked to, because it then holds commands back while it is disconnected, and
//! because its check for a silent server starts over with every write, so a busy connection to a hung Redis lives for ever.
//! Here a line is opened, watched, and given up as a whole; between two lines every command fails at once. To a cluster a line
//! is a connection to each of its masters.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, ClusterInterface};
use fred::types::ConnectHandle;
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, ReconnectError, ServerConfig, TcpConfig};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{CacheError, tls};

/// How long each step of a new connection may take: TCP and TLS, the password, a question to a Sentinel.
const CONNECT_STEP_TIMEOUT: Duration = Duration::from_millis(250);
/// How long a new connection may take with all its steps.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// Commands that may wait to be written; more are refused.
const MAX_WAITING: usize = 16_384;
/// How often an open line is asked for a sign of life, and how many missing answers in a row end it.
const PING_INTERVAL: Duration = Duration::from_millis(250);
const MAX_SILENT_PINGS: u32 = 4;
/// How long closing waits for connections to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// The shortest and the longest wait before the next attempt.
const MIN_BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_millis(500);

const SCHEMES: [&str; 6] = ["redis", "rediss", "redis-sentinel", "rediss-sentinel", "redis-cluster", "rediss-cluster"];

/// Where Redis is and how to get in.
#[derive(Clone)]
pub(super) struct Address(Arc<Config>);

impl Address {
    /// Reads an address. The library's own messages may quote the address, so none of them is passed on.
    pub(super) fn parse(url: &str, ca_file: &str) -> Result<Self, CacheError> {
        let known = "it must be memory: or start with redis://, rediss://, redis-sentinel:// or redis-cluster://";
        let (scheme, rest) = url
            .split_once("://")
            .filter(|(scheme, _)| SCHEMES.contains(scheme))
            .ok_or(CacheError::BadUrl(known.into()))?;
        // fred would trust the system's authorities alone, and refuse a machine that has none.
        let (plain, secure) = match scheme.strip_prefix("rediss") {
            Some(kind) => (format!("redis{kind}://{rest}"), true),
            None => (url.to_owned(), false),
        };
        let expected = "expected scheme://user:password@host:port/database, for Sentinel with ?sentinelServiceName=";
        let mut config = Config::from_url(&plain).map_err(|_| CacheError::BadUrl(expected.into()))?;
        if secure {
            config.tls = Some(tls::connector(ca_file)?.into());
        }
        Ok(Self(Arc::new(config)))
    }

    /// The passwords in it, which no text may repeat.
    fn secrets(&self) -> impl Iterator<Item = &str> {
        let of_sentinels = match &self.0.server {
            ServerConfig::Sentinel { password, .. } => password.as_deref(),
            _ => None,
        };
        self.0.password.as_deref().into_iter().chain(of_sentinels)
    }

    /// Hosts and ports, without anything secret.
    pub(super) fn hosts(&self) -> String {
        let hosts = self.0.server.hosts();
        hosts.iter().map(|server| format!("{}:{}", server.host, server.port)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn unavailable(&self, error: &Error) -> CacheError {
        CacheError::Unavailable(self.reason(error))
    }

    /// What went wrong, in words of our own where a server's words could repeat what was sent to it.
    pub(super) fn reason(&self, error: &Error) -> Cow<'static, str> {
        match error.kind() {
            ErrorKind::Timeout => "no answer in time".into(),
            ErrorKind::Tls => "it does not prove who it is, or does not speak TLS".into(),
            ErrorKind::Auth => "the user name or password is missing or was refused".into(),
            ErrorKind::Canceled => "the connection was lost".into(),
            ErrorKind::Backpressure => "too many commands are waiting".into(),
            ErrorKind::IO if error.details().contains("ConnectionRefused") => "connection refused".into(),
            ErrorKind::IO => "the connection failed or was lost".into(),
            kind => {
                // Redis starts its errors with a word in capitals, such as LOADING, OOM or READONLY.
                let word = error.details().split_whitespace().next().unwrap_or_default();
                let is_code = word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
                if is_code && !self.secrets().any(|secret| secret == word) {
                    format!("Redis answered {word}").into()
                } else {
                    kind.to_str().into()
                }
            }
        }
    }
}

/// One connection with its task. It ends when this is dropped.
pub(super) struct Line {
    pub(super) client: Client,
    task: ConnectHandle,
}

impl Line {
    /// Opens a connection whose commands end after `command_timeout`.
    pub(super) async fn open(address: &Address, command_timeout: Duration) -> Result<Self, Error> {
        let performance = PerformanceConfig { default_command_timeout: command_timeout, ..Default::default() };
        let connection = ConnectionConfig {
            connection_timeout: CONNECT_STEP_TIMEOUT,
            internal_command_timeout: CONNECT_STEP_TIMEOUT,
            // Whether a command that got no answer was carried out is unknown: sending it again could count twice.
            max_command_attempts: 1,
            // A cluster's word that a slot has moved makes fred read anew where the slots are. Following it is left to us
            // (`moved`): where a slot is about to move, fred may take another command's answer for the one it waits for.
            max_redirections: 0,
            // Whoever stops being the master, or is one without followers, may keep its connections. They lead nowhere, so the
            // line is given up.
            reconnect_errors: vec![ReconnectError::ReadOnly, ReconnectError::MasterDown, ReconnectError::NoReplicas],
            max_command_buffer_len: MAX_WAITING,
            tcp: TcpConfig { nodelay: Some(true), ..Default::default() },
            ..Default::default()
        };
        let client = Client::new((*address.0).clone(), Some(performance), Some(connection), None);
        let mut line = Self { task: client.connect(), client };
        let opened = timeout(CONNECT_TIMEOUT, line.established()).await;
        opened.unwrap_or_else(|_| Err(Error::new(ErrorKind::Timeout, "")))?;
        Ok(line)
    }

    async fn established(&mut self) -> Result<(), Error> {
        // fred tells of a connection by an event that is missed when it comes too early; its state cannot be missed.
        while !self.client.is_connected() {
            tokio::select! {
                error = self.ended() => return Err(error),
                () = sleep(Duration::from_millis(1)) => {}
            }
        }
        Ok(())
    }

    /// Waits for the connection to be lost.
    async fn ended(&mut self) -> Error {
        match (&mut self.task).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => Error::new(ErrorKind::Canceled, ""),
        }
    }

    /// Waits until the line is lost or has been silent for too long.
    async fn spent(&mut self) -> Error {
        let mut silent = 0;
        while silent < MAX_SILENT_PINGS {
            tokio::select! {
                error = self.ended() => return error,
                () = sleep(PING_INTERVAL) => {}
            }
            silent = if self.answers().await { 0 } else { silent + 1 };
        }
        Error::new(ErrorKind::Timeout, "")
    }

    /// Whether every server behind this line gives a sign of life. Of a cluster that are all masters: the slots of one that
    /// hangs have another by now, perhaps, and it would never say so.
    async fn answers(&self) -> bool {
        let masters = self.client.cached_cluster_state().map(|state| state.unique_primary_nodes()).unwrap_or_default();
        if masters.is_empty() {
            return self.client.ping::<()>(None).await.is_ok();
        }
        let pings = masters.into_iter().map(|master| async {
            let master = self.client.with_cluster_node(master);
            master.ping::<()>(None).await.is_ok()
        });
        join_all(pings).await.into_iter().all(|answers| answers)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether a command was refused because its slot of a cluster is, or soon will be, another server's. Nothing was done, and
/// fred knows by now where the slots are.
pub(super) fn moved(error: &Error) -> bool {
    *error.kind() == ErrorKind::Routing
}

/// Waits between attempts, longer each time.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) const fn new() -> Self {
        Self(MIN_BACKOFF)
    }

    pub(super) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(MAX_BACKOFF);
    }
}

/// The line for commands, replaced for ever until it is closed or dropped.
pub(super) struct Supervised {
    /// The client of the open line; none while there is no line.
    current: Arc<ArcSwapOption<Client>>,
    closed: watch::Sender<bool>,
}

impl Supervised {
    pub(super) async fn connect(address: &Address, patience: Duration) -> Result<Self, CacheError> {
        let line = Line::open(address, patience)
            .await
            .map_err(|error| CacheError::Unreachable { address: address.hosts(), reason: address.reason(&error) })?;
        let current = Arc::new(ArcSwapOption::from_pointee(line.client.clone()));
        let (closed, receiver) = watch::channel(false);
        tokio::spawn(until_closed(receiver, supervise(address.clone(), patience, line, Arc::clone(&current))));
        Ok(Self { current, closed })
    }

    /// The client of the open line, or an error at once.
    pub(super) fn client(&self) -> Result<Arc<Client>, CacheError> {
        let client = self.current.load_full().filter(|_| !*self.closed.borrow());
        client.ok_or(CacheError::Unavailable("not connected".into()))
    }

    /// For work that is to end with this, by way of [`until_closed`].
    pub(super) fn closed(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }

    /// Ends all that hangs on this, and waits for it briefly.
    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        // Every task holds a receiver for as long as it lives.
        let _ = timeout(CLOSE_TIMEOUT, self.closed.closed()).await;
    }
}

/// Runs work until it ends by itself, or the cache is closed, or the last clone of the cache is gone.
pub(super) async fn until_closed(mut closed: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = closed.wait_for(|closed| *closed) => {}
    }
}

async fn supervise(address: Address, patience: Duration, mut line: Line, current: Arc<ArcSwapOption<Client>>) {
    let mut backoff = Backoff::new();
    loop {
        let opened = Instant::now();
        let error = line.spent().await;
        current.store(None);
        drop(line);
        tracing::warn!(address = address.hosts(), reason = %address.reason(&error), "connection to Redis lost");
        // One that ends as soon as it is used, as in a cluster that is down, is not opened anew all the time.
        if opened.elapsed() > MAX_BACKOFF {
            backoff = Backoff::new();
        }
        line = loop {
            backoff.wait().await;
            match Line::open(&address, patience).await {
                Ok(line) => break line,
                Err(error) => {
                    tracing::debug!(address = address.hosts(), reason = %address.reason(&error), "Redis is still away");
                }
            }
        };
        current.store(Some(Arc::new(line.client.clone())));
        tracing::info!(address = address.hosts(), "connected to Redis again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_address_is_read() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://user:secret@redis.example/3",
            "rediss://:secret@redis.example:6380",
            "redis-sentinel://:secret@one:26379/0?node=two:26379&sentinelServiceName=main",
            "redis-cluster://one:7001?node=two:7002",
            "rediss-cluster://one:7001",
        ] {
            assert!(Address::parse(url, "").is_ok(), "{url}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_without_repeating_it() {
        for url in ["", "redis", "http://:secret@host", "redis://:secret@host:port", "redis://:secret@host/secret"] {
            let Err(error) = Address::parse(url, "") else { panic!("{url} was taken") };
            assert!(matches!(error, CacheError::BadUrl(_)));
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn reasons_do_not_repeat_what_the_server_says() {
        let address = Address::parse("redis://:SECRET@host", "").unwrap();
        let told = |details: &'static str| address.reason(&Error::new(ErrorKind::Unknown, details));
        assert_eq!(told("OOM command not allowed"), "Redis answered OOM");
        assert_eq!(told("ERR unknown command 'AUTH', with args beginning with: 'SECRET'"), "Redis answered ERR");
        assert_eq!(told("SECRET"), "Unknown Error");
    }
}
