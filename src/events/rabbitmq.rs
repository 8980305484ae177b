//! RabbitMQ as a destination: a topic exchange that gets each event under its kind, and confirms that it has taken it over.
//! Whatever is wrong with the settings or the broker makes events wait, and nothing else.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::tcp::{AsyncTcpStream, OwnedTLSConfig};
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ErrorKind, ExchangeKind};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::deliver::Waits;
use super::{Envelope, Failure, Limits};
use crate::config;
use crate::model::KindFilter;

/// What the media type of a CloudEvent in JSON is.
const CONTENT_TYPE: &str = "application/cloudevents+json";
/// Messages that are kept by durable queues also when the broker ends.
const PERSISTENT: u8 = 2;
/// How many messages wait for their confirmation at a time, each of another account.
const IN_FLIGHT: usize = 128;
/// How long an event waits that the broker would not take: it has no room, which soon passes or stays for everybody.
const WAITS: Waits = Waits { first: TimeDelta::milliseconds(250), longest: TimeDelta::seconds(10) };
/// How often each end of a silent connection shows that it is there, in seconds.
const HEARTBEAT: u16 = 10;
/// All that wait for a connection that cannot be had are told so by one try.
const SAME_TRY: Duration = Duration::from_millis(100);

/// A broker, and the connection to it while there is one.
#[derive(Debug)]
pub struct Broker {
    settings: config::RabbitMq,
    line: tokio::sync::Mutex<Line>,
}

/// The state of the connection.
#[derive(Debug)]
enum Line {
    Down,
    Up(Arc<Open>),
    /// It could not be had, then, for this reason.
    Failed(Instant, String),
}

/// A connection with the one channel on it that is used.
struct Open {
    channel: Channel,
    // In this order: the connection says goodbye, then its socket is closed whatever the other end does.
    _connection: Connection,
    _socket: Socket,
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

impl Broker {
    /// A broker that nobody has connected to yet.
    #[must_use]
    pub const fn new(settings: config::RabbitMq) -> Self {
        Self { settings, line: tokio::sync::Mutex::const_new(Line::Down) }
    }

    /// Which kinds of events it gets.
    #[must_use]
    pub const fn kinds(&self) -> &KindFilter {
        &self.settings.kinds
    }

    /// Nothing is ever given up: a broker that refuses an event has no room, or lacks a part of itself.
    pub(super) fn limits() -> Limits {
        Limits { in_flight: IN_FLIGHT, attempts: None, waits: WAITS }
    }

    /// Publishes an event, and returns once the broker has it.
    pub(super) async fn deliver(&self, event: &Envelope) -> Result<(), Failure> {
        let open = self.open().await.map_err(Failure::Away)?;
        let published = timeout(self.patience(), self.publish(&open.channel, event)).await;
        let reason = match published {
            Ok(Ok(Confirmation::Ack(_))) => return Ok(()),
            Ok(Ok(_)) => return Err(Failure::Refused("the broker did not confirm it".to_owned())),
            Ok(Err(error)) => told(&error),
            Err(_) => "it does not confirm in time".to_owned(),
        };
        self.give_up(&open).await;
        Err(Failure::Away(reason))
    }

    async fn publish(&self, channel: &Channel, event: &Envelope) -> lapin::Result<Confirmation> {
        let (exchange, kind) = (self.settings.exchange.as_str(), event.event().kind.as_str());
        let seconds = u64::try_from(event.event().at.timestamp()).unwrap_or(0);
        let properties = BasicProperties::default()
            .with_content_type(CONTENT_TYPE.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(event.event().id.to_string().into())
            .with_type(event.event_type().into())
            .with_app_id("countersign".into())
            .with_timestamp(seconds);
        let options = BasicPublishOptions::default();
        channel.basic_publish(exchange.into(), kind.into(), options, event.cloud_event(), properties).await?.await
    }

    /// The connection, made where there is none.
    async fn open(&self) -> Result<Arc<Open>, String> {
        let mut line = self.line.lock().await;
        match &*line {
            Line::Up(open) if open.channel.status().connected() => return Ok(Arc::clone(open)),
            Line::Failed(at, reason) if at.elapsed() < SAME_TRY => return Err(reason.clone()),
            Line::Up(_) | Line::Failed(..) | Line::Down => *line = Line::Down,
        }
        match self.connect().await {
            Ok(open) => {
                let open = Arc::new(open);
                *line = Line::Up(Arc::clone(&open));
                Ok(open)
            }
            Err(reason) => {
                *line = Line::Failed(Instant::now(), reason.clone());
                Err(reason)
            }
        }
    }

    /// Lets go of a connection that did not do what it should, unless that has been done.
    async fn give_up(&self, broken: &Arc<Open>) {
        let mut line = self.line.lock().await;
        if matches!(&*line, Line::Up(open) if Arc::ptr_eq(open, broken)) {
            *line = Line::Down;
        }
    }

    /// Reads the settings' files anew each time: a password may have been replaced.
    async fn connect(&self) -> Result<Open, String> {
        let uri = self.uri()?;
        let ca = match self.settings.ca_file.as_str() {
            "" => None,
            path => Some(std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?),
        };
        let socket = Socket::default();
        // Dropped in the middle, its socket is closed, so that nothing goes on in the background.
        let opening = self.set_up(uri, OwnedTLSConfig { identity: None, cert_chain: ca }, &socket);
        match timeout(self.patience(), opening).await {
            Ok(Ok((connection, channel))) => Ok(Open { channel, _connection: connection, _socket: socket }),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err("it does not answer in time".to_owned()),
        }
    }

    fn uri(&self) -> Result<AMQPUri, String> {
        let text = match self.settings.url_file.as_str() {
            "" => self.settings.url.expose().clone(),
            path => std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?,
        };
        // What the library says of a malformed one repeats it, password and all.
        let malformed =
            || "events.rabbitmq.url is malformed: it must be amqp://user:password@host:port/vhost".to_owned();
        let mut uri: AMQPUri = text.trim().parse().map_err(|_| malformed())?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        Ok(uri)
    }

    async fn set_up(&self, uri: AMQPUri, tls: OwnedTLSConfig, socket: &Socket) -> lapin::Result<(Connection, Channel)> {
        // The library keeps this for as long as its thread lives, so it must not hold the socket.
        let (patience, socket) = (self.patience(), Arc::downgrade(&socket.0));
        let properties = ConnectionProperties::default().with_connection_name("countersign".into());
        let runtime = lapin::runtime::default_runtime()?;
        // Dialled here, where the library would not look at the time.
        let connecting = Connection::connector(
            uri,
            runtime,
            async move |uri: AMQPUri, runtime| {
                let dialled = timeout(patience, async {
                    let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
                    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await?.collect();
                    let stream = AsyncTcpStream::connect(&runtime, addresses).await?;
                    if let AsyncTcpStream::Plain(stream) = &stream {
                        let held = socket.upgrade().ok_or(std::io::ErrorKind::ConnectionAborted)?;
                        *held.0.lock() = Some(TcpStream::from(stream.get_ref().as_fd().try_clone_to_owned()?));
                    }
                    match uri.scheme {
                        AMQPScheme::AMQP => Ok(stream),
                        AMQPScheme::AMQPS => stream.into_tls(host, tls.as_ref()).await,
                    }
                });
                dialled.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())).map_err(lapin::Error::from)
            },
            properties,
        );
        let connection = connecting.await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let options = ExchangeDeclareOptions {
            passive: !self.settings.declare,
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let exchange = self.settings.exchange.as_str().into();
        channel.exchange_declare(exchange, ExchangeKind::Topic, options, FieldTable::default()).await?;
        Ok((connection, channel))
    }

    fn patience(&self) -> Duration {
        self.settings.timeout.to_std().unwrap_or(Duration::from_secs(5))
    }
}

/// A hold on a connection's socket. The library has a thread for each connection, which would wait for a silent server for
/// ever; when the last hold is gone, the socket is shut and the thread ends.
#[derive(Debug, Default)]
struct Socket(Arc<Held>);

#[derive(Debug, Default)]
struct Held(Mutex<Option<TcpStream>>);

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(socket) = self.0.get_mut().take() {
            // One that is closed already cannot be shut.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// What is told of an error: where it comes from the broker, in its own words.
fn told(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::IOError(error) => error.to_string(),
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        _ => error.to_string(),
    }
}
