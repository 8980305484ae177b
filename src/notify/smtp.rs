//! Mail through a server of the operator's.
//!
//! Connections are kept by this file and not by the library's pool: one that was given up in the middle of a message must
//! never carry another one, and where it was given up tells whether a message may have left.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, TimeDelta, Utc};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message as Letter};
use parking_lot::Mutex;

use super::template::Mail;
use super::verdict::Verdict;
use crate::clock::Clock;
use crate::config::{self, SmtpTls};
use crate::model::Message;

/// How long a connection may wait for its next message. Servers close those that wait for minutes.
const IDLE: TimeDelta = TimeDelta::seconds(60);

pub(super) struct Smtp {
    config: config::Smtp,
    from: Mailbox,
    tls: Option<TlsParameters>,
    idle: Mutex<Vec<Idle>>,
    clock: Clock,
    timeout: Duration,
}

struct Idle {
    connection: AsyncSmtpConnection,
    since: DateTime<Utc>,
}

/// Why mail cannot be set up at all.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSetupError {
    /// The certificates cannot be read.
    #[error("notify.smtp.ca_file: {0}")]
    Certificates(String),
    /// TLS cannot be set up.
    #[error("TLS for mail cannot be set up: {0}")]
    Tls(#[from] SmtpError),
    /// The address that messages come from is none.
    #[error("notify.smtp.from_address: {0}")]
    From(#[from] lettre::address::AddressError),
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Smtp").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Smtp {
    /// Sets mail up. No connection is made: a server that is away must not keep the service from starting.
    pub(super) fn new(config: &config::Smtp, clock: Clock) -> Result<Self, SmtpSetupError> {
        let name = (!config.from_name.is_empty()).then(|| config.from_name.clone());
        let from = Mailbox::new(name, config.from_address.parse::<Address>()?);
        let tls = match config.tls {
            SmtpTls::None => None,
            SmtpTls::Starttls | SmtpTls::Tls => Some(tls(config)?),
        };
        let timeout = config.timeout.to_std().unwrap_or_default();
        Ok(Self { config: config.clone(), from, tls, idle: Mutex::default(), clock, timeout })
    }

    pub(super) async fn send(&self, message: &Message, mail: Mail) -> Verdict {
        let letter = match self.letter(message, mail) {
            Ok(letter) => letter,
            Err(reason) => return Verdict::Failed(reason),
        };
        // The time is one for both, but only before the first word of the message has nothing left.
        let deadline = tokio::time::Instant::now() + self.timeout;
        let mut connection = match tokio::time::timeout_at(deadline, self.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(reason)) => return Verdict::Failed(reason),
            Err(_) => return Verdict::Failed("no connection in time".to_owned()),
        };
        // Dropped in the middle, a connection is closed: what it had begun to say is not said.
        let formatted = letter.formatted();
        let sending = connection.send(letter.envelope(), &formatted);
        match tokio::time::timeout_at(deadline, sending).await {
            Ok(Ok(_)) => {
                self.keep(connection);
                Verdict::Sent
            }
            Ok(Err(error)) => judge(&error),
            Err(_) => Verdict::Unknown("no answer in time".to_owned()),
        }
    }

    /// Line breaks cannot get into headers: the address has been parsed, the subject is one line, and both are encoded.
    fn letter(&self, message: &Message, mail: Mail) -> Result<Letter, String> {
        let to = message.to.as_str().parse::<Address>().map_err(|error| error.to_string())?;
        let id = format!("<{}@{}>", message.id, self.from.email.domain());
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Letter::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .date(SystemTime::from(self.clock.now()))
            .message_id(Some(id))
            // RFC 3834 §5: nobody's holiday notice shall answer.
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text.expose().clone(), mail.html.expose().clone()))
            .map_err(|error| error.to_string())
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, String> {
        loop {
            let idle = self.idle.lock().pop();
            let Some(Idle { mut connection, since }) = idle else { break };
            if (TimeDelta::zero()..IDLE).contains(&(self.clock.now() - since)) && connection.test_connected().await {
                return Ok(connection);
            }
        }
        self.connect().await.map_err(|error| shown(&error))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let hello = ClientId::default();
        let server = (self.config.host.as_str(), self.config.port);
        let wrapper = self.tls.clone().filter(|_| self.config.tls == SmtpTls::Tls);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &hello, wrapper, None).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.config.tls == SmtpTls::Starttls) {
            connection.starttls(tls, &hello).await?;
        }
        if !self.config.username.is_empty() {
            let credentials = Credentials::new(self.config.username.clone(), self.config.password.expose().clone());
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await?;
        }
        Ok(connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock();
        if idle.len() < self.config.connections && !connection.has_broken() {
            idle.push(Idle { connection, since: self.clock.now() });
        }
    }
}

fn tls(config: &config::Smtp) -> Result<TlsParameters, SmtpSetupError> {
    let mut tls = TlsParameters::builder(config.host.clone());
    if !config.ca_file.is_empty() {
        let pem = std::fs::read(&config.ca_file).map_err(|error| SmtpSetupError::Certificates(error.to_string()))?;
        let certificate =
            Certificate::from_pem(&pem).map_err(|error| SmtpSetupError::Certificates(error.to_string()))?;
        tls = tls.add_root_certificate(certificate);
    }
    Ok(tls.build()?)
}

/// An answer below 300 would be none of an error's. One of 400 or 500 means that the server has not taken the message over
/// (RFC 5321 §4.2.1), whichever command it answered.
fn judge(error: &SmtpError) -> Verdict {
    let Some(code) = error.status() else { return Verdict::Unknown(shown(error)) };
    let text = error.to_string();
    // Whom it is for; with 5.7 the server means who sends it (RFC 3463 §3.8).
    if matches!(u16::from(code), 550 | 551 | 553) && !text.contains("5.7.") {
        return Verdict::Refused(shown(error));
    }
    Verdict::Failed(shown(error))
}

/// What may be told of an error: servers like to repeat the recipient's address.
fn shown(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("the server answered {code}"),
        None if error.is_response() => "an answer that is none of SMTP's".to_owned(),
        None => error.to_string(),
    }
}
