//! From messages to the model. Every fault of a request is found before any of it is used.

mod admin;
mod profile;

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use tonic::Status;
use tonic_types::FieldViolation;

use super::peer::Peer;
use super::status;
use crate::model::{Channel, ClientContext, EmailAddress, Identifier, Permission, Phone, Region, RequestId, digit};
use crate::proto::v1;

/// The faults found so far, as many as are told.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<FieldViolation>);

/// How many faults are told.
const MOST_FAULTS: usize = 20;
/// How many rows a list gives where nothing is said, and at most.
const PAGE: i32 = 50;
const LARGEST_PAGE: i32 = 200;
/// The first second of the year 10000, whose name is longer than SQLite compares well.
const YEAR_10000: i64 = 253_402_300_800;

impl Faults {
    pub(crate) fn add(&mut self, field: &str, fault: impl Display) {
        // Whoever sends a thousand wrong things is helped by some of them; the answer must not be larger than the question.
        if self.0.len() < MOST_FAULTS {
            self.0.push(FieldViolation::new(field, fault.to_string()));
        }
    }

    /// Goes on only if there is none.
    pub(crate) fn none(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(status::invalid_fields(self.0)) }
    }

    /// What tells of them.
    pub(crate) fn into_status(self) -> Status {
        status::invalid_fields(self.0)
    }

    /// A value that was read, if nothing at all is wrong.
    pub(crate) fn unless<T>(self, value: Option<T>) -> Result<T, Status> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(status::invalid_fields(self.0)),
        }
    }

    /// What is wrong, where one of many is refused and the others are not.
    pub(crate) fn first(&self) -> Option<&str> {
        self.0.first().map(|fault| fault.description.as_str())
    }

    /// Something that is read by its own type's rules.
    pub(crate) fn parse<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|fault| self.add(field, fault)).ok()
    }

    /// The client's name for its intent, where it has one.
    pub(crate) fn request_id(&mut self, text: &str) -> Option<RequestId> {
        if text.is_empty() { None } else { self.parse("request_id", text) }
    }

    /// A span within bounds; the usual one where nothing is said.
    pub(crate) fn span(
        &mut self,
        field: &str,
        span: Option<prost_types::Duration>,
        usual: Duration,
        bounds: RangeInclusive<Duration>,
    ) -> Duration {
        let Some(span) = span else { return usual };
        match Duration::try_from(span) {
            Ok(span) if bounds.contains(&span) => span,
            _ => {
                self.add(field, format_args!("must be from {:?} to {:?}", bounds.start(), bounds.end()));
                usual
            }
        }
    }

    /// A text of at most so many bytes, without control characters.
    pub(crate) fn text(&mut self, field: &str, text: &str, most: usize) -> String {
        if text.len() > most {
            self.add(field, format_args!("must be at most {most} bytes"));
        } else if text.chars().any(char::is_control) {
            self.add(field, "must not contain control characters");
        } else {
            return text.to_owned();
        }
        String::new()
    }

    /// A token: there, and not too long.
    pub(crate) fn token(&mut self, field: &str, token: impl AsRef<[u8]>, most: usize) {
        if !(1..=most).contains(&token.as_ref().len()) {
            self.add(field, format_args!("must be from 1 to {most} bytes"));
        }
    }

    pub(crate) fn identifier(&mut self, identifier: Option<&v1::Identifier>, region: Region) -> Option<Identifier> {
        self.identifier_in("identifier", identifier, region)
    }

    /// One that does not stand at the top of its message.
    pub(crate) fn identifier_in(
        &mut self,
        field: &str,
        identifier: Option<&v1::Identifier>,
        region: Region,
    ) -> Option<Identifier> {
        match identifier.and_then(|identifier| identifier.kind.as_ref()) {
            Some(v1::identifier::Kind::Phone(text)) => match Phone::parse(text, region) {
                Ok(phone) => return Some(Identifier::Phone(phone)),
                Err(fault) => self.add(&format!("{field}.phone"), fault),
            },
            Some(v1::identifier::Kind::Email(text)) => match EmailAddress::parse(text) {
                Ok(email) => return Some(Identifier::Email(email)),
                Err(fault) => self.add(&format!("{field}.email"), fault),
            },
            None => self.add(field, "must be a phone number or a mail address"),
        }
        None
    }

    /// How a code is to travel; it must fit the identifier.
    pub(crate) fn channel(&mut self, channel: i32, identifier: Option<&Identifier>) {
        let wanted = match v1::OtpChannel::try_from(channel) {
            Ok(v1::OtpChannel::Unspecified) => return,
            Ok(v1::OtpChannel::Sms) => Channel::Sms,
            Ok(v1::OtpChannel::Email) => Channel::Email,
            Err(_) => return self.add("channel", "is unknown"),
        };
        if identifier.is_some_and(|identifier| Channel::of(identifier) != wanted) {
            self.add("channel", "does not fit the identifier");
        }
    }

    /// Digits, whichever script they are written in.
    pub(crate) fn code(&mut self, field: &str, text: &str, length: usize) -> String {
        let digits: Option<String> = text.trim().chars().take(length + 1).map(digit).collect();
        match digits {
            Some(digits) if digits.len() == length => digits,
            _ => {
                self.add(field, format_args!("must be {length} digits"));
                String::new()
            }
        }
    }

    /// Where a request comes from, and the client's name for its intent.
    pub(crate) fn intent(
        &mut self,
        client: Option<&v1::ClientContext>,
        request_id: &str,
        peer: &Peer,
    ) -> (ClientContext, Option<RequestId>) {
        let mut client = self.client(client, peer);
        let request_id = self.request_id(request_id);
        if let Some(id) = request_id {
            client.request_id = id.to_string();
        }
        (client, request_id)
    }

    /// Where a request comes from. A caller's word on the address is taken only from one that may act for clients.
    pub(crate) fn client(&mut self, client: Option<&v1::ClientContext>, peer: &Peer) -> ClientContext {
        let unknown = v1::ClientContext::default();
        let client = client.unwrap_or(&unknown);
        let told = if client.ip.is_empty() {
            None
        } else {
            match client.ip.parse::<std::net::IpAddr>() {
                Ok(ip) => Some(ip.to_canonical()),
                Err(_) => {
                    self.add("client.ip", "must be an IP address");
                    None
                }
            }
        };
        ClientContext {
            ip: told.filter(|_| peer.may(Permission::ActForClients)).unwrap_or(peer.address),
            user_agent: self.text("client.user_agent", &client.user_agent, 512),
            device_id: self.text("client.device_id", &client.device_id, 128),
            device_name: self.text("client.device_name", &client.device_name, 128),
            request_id: peer.request_id.clone(),
        }
    }

    /// How many rows to give.
    pub(crate) fn page_size(&mut self, asked: i32) -> i32 {
        if asked < 0 {
            self.add("page_size", "must not be negative");
        }
        if asked == 0 { PAGE } else { asked.clamp(1, LARGEST_PAGE) }
    }

    /// Where to go on.
    pub(crate) fn page_token<T>(&mut self, token: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if token.is_empty() {
            return None;
        }
        let cursor = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| read(&bytes));
        if cursor.is_none() {
            self.add("page_token", "must be the next_page_token of the page before");
        }
        cursor
    }

    /// A moment that has not come.
    pub(crate) fn future(
        &mut self,
        field: &str,
        time: Option<prost_types::Timestamp>,
        now: DateTime<Utc>,
    ) -> Option<DateTime<Utc>> {
        let time = time?;
        let nanos = u32::try_from(time.nanos).ok();
        let read = nanos.and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos)).filter(|time| *time > now);
        let read = read.filter(|time| time.timestamp() < YEAR_10000);
        if read.is_none() {
            self.add(field, "must be a time in the future");
        }
        read
    }
}

/// A page out of what was asked for: one more than fits tells whether there is another, which begins behind the last one's
/// cursor. Its opaque form stands beside the page, empty where that is the last.
pub(crate) fn page<T>(mut found: Vec<T>, size: i32, cursor: impl FnOnce(&T) -> Vec<u8>) -> (Vec<T>, String) {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let is_more = found.len() > size;
    found.truncate(size);
    let next = found.last().filter(|_| is_more).map(|last| URL_SAFE_NO_PAD.encode(cursor(last)));
    (found, next.unwrap_or_default())
}

/// A cursor that is a name.
pub(crate) fn name_of(cursor: &[u8]) -> Option<String> {
    String::from_utf8(cursor.to_vec()).ok().filter(|name| !name.contains('\0'))
}
