//! Events on their way to other systems: their form, and that none is lost.

mod broker_down;
mod catalogue;
mod wrong;

use std::collections::BTreeMap;
use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use serde_json::Value;

use crate::harness::OwnRabbit;

/// The exchange of the defaults.
const EXCHANGE: &str = "countersign.events";

/// One that listens: a durable queue which gets everything.
struct Listener {
    _connection: Connection,
    channel: Channel,
}

/// An event as it arrived.
#[derive(Clone, Debug)]
struct Told {
    id: String,
    account: String,
    kind: String,
}

impl Listener {
    async fn new(port: u16) -> Self {
        let url = OwnRabbit::url(port);
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { _connection: connection, channel }
    }

    /// The exchange and the queue, before anything is told.
    async fn set_up(&self) {
        let (channel, nothing) = (&self.channel, FieldTable::default);
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, nothing()).await.unwrap();
        channel.queue_declare("all".into(), QueueDeclareOptions::durable(), nothing()).await.unwrap();
        let options = QueueBindOptions::default();
        channel.queue_bind("all".into(), EXCHANGE.into(), "#".into(), options, nothing()).await.unwrap();
    }

    /// Everything that has arrived so far, in order.
    async fn take(&self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(message) = self.channel.basic_get("all".into(), BasicGetOptions::default()).await.unwrap() {
            message.ack(BasicAckOptions::default()).await.unwrap();
            let event: Value = serde_json::from_slice(&message.data).unwrap();
            let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            let properties = &message.properties;
            assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/cloudevents+json");
            assert_eq!(properties.message_id().as_ref().unwrap().as_str(), text("id"));
            assert_eq!(*properties.delivery_mode(), Some(2));
            let kind = message.routing_key.as_str().to_owned();
            assert_eq!(text("type"), format!("countersign.v1.{kind}"));
            told.push(Told { id: text("id"), account: text("subject"), kind });
        }
        told
    }
}

/// What each account was told of, each event at its first arrival.
fn by_account(told: &[Told]) -> BTreeMap<String, Vec<Told>> {
    let mut accounts: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    for one in told {
        let known = accounts.entry(one.account.clone()).or_default();
        if known.iter().all(|known| known.id != one.id) {
            known.push(one.clone());
        }
    }
    accounts
}

/// Waits until something holds, and tells how long that took.
async fn until(what: &str, patience: Duration, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}
