//! `[events]`: how events leave for other systems.

use chrono::TimeDelta;

use super::jobs::interval;
use super::read::span;
use super::source::Settings;
use crate::model::KindFilter;
use crate::secret::Secret;

section! {
    /// `[events]`
    Events {
        /// None where relaying is left to somebody outside.
        poll_every: Option<TimeDelta>,
        batch: i64,
        /// None where no broker is named.
        rabbitmq: Option<RabbitMq>,
    }
}
section! {
    /// `[events.rabbitmq]`
    RabbitMq {
        url: Secret<String>,
        url_file: String,
        ca_file: String,
        exchange: String,
        declare: bool,
        kinds: KindFilter,
        timeout: TimeDelta,
    }
}

pub(super) fn read(s: &mut Settings) -> Option<Events> {
    let poll_every = interval(s, "events.poll_every", "10ms", "1m");
    let batch = s.number("events.batch", 1..=5_000);
    let rabbitmq = rabbitmq(s);
    Some(Events { poll_every: poll_every?, batch: batch?, rabbitmq: rabbitmq? })
}

/// The outer option tells whether the settings are sound, the inner one whether there is a broker.
///
/// Where it is, is not judged here, nor are its files read: a broker that is set up wrongly must not keep anybody from signing
/// in.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
fn rabbitmq(s: &mut Settings) -> Option<Option<RabbitMq>> {
    let timeout = span(s, "events.rabbitmq.timeout", "100ms", "1m");
    let kinds = KindFilter::parse(&s.list("events.rabbitmq.kinds"));
    if let Err(fault) = &kinds {
        s.fault("events.rabbitmq.kinds", fault.to_string());
    }
    let exchange = s.text("events.rabbitmq.exchange").to_owned();
    let has_a_name = (1..=255).contains(&exchange.len());
    if !has_a_name {
        s.fault("events.rabbitmq.exchange", "must be a name of at most 255 bytes".to_owned());
    }
    let (url, url_file) = (s.text("events.rabbitmq.url").to_owned(), s.text("events.rabbitmq.url_file").to_owned());
    if !url.is_empty() && !url_file.is_empty() {
        let fault = "`events.rabbitmq.url` is set as well; set one of the two";
        s.fault("events.rabbitmq.url_file", fault.to_owned());
        return None;
    }
    let (timeout, kinds) = (timeout?, kinds.ok().filter(|_| has_a_name)?);
    if url.is_empty() && url_file.is_empty() {
        return Some(None);
    }
    let (ca_file, declare) = (s.text("events.rabbitmq.ca_file").to_owned(), s.flag("events.rabbitmq.declare"));
    Some(Some(RabbitMq { url: url.into(), url_file, ca_file, exchange, declare, kinds, timeout }))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Settings};

    fn faults(events: &str) -> Vec<String> {
        let text = format!("[events.rabbitmq]\n{events}");
        match Config::read(Settings::gather(Some(("test", &text)), std::iter::empty())) {
            Ok(_) => Vec::new(),
            Err(error) => error.0.into_iter().map(|problem| problem.setting).collect(),
        }
    }

    #[test]
    fn where_a_broker_is_keeps_nobody_from_starting() {
        for url in ["amqp://guest:guest@localhost/%2f", "amqps://broker.example", "nonsense", "https://broker.example"]
        {
            assert_eq!(faults(&format!("url = '{url}'")), Vec::<String>::new(), "{url}");
        }
        assert_eq!(faults("url_file = '/nowhere'\nca_file = '/nowhere'"), Vec::<String>::new());
    }

    #[test]
    fn what_is_plainly_wrong_is_told() {
        assert_eq!(faults("url = 'amqp://a'\nurl_file = '/b'"), ["events.rabbitmq.url_file"]);
        assert_eq!(faults("kinds = ['account.craeted']"), ["events.rabbitmq.kinds"]);
        assert_eq!(faults("exchange = ''"), ["events.rabbitmq.exchange"]);
        assert_eq!(faults("timeout = '2h'"), ["events.rabbitmq.timeout"]);
        assert_eq!(faults("kinds = ['account.*', 'session.ended']"), Vec::<String>::new());
    }
}
