//! Events that have not arrived somewhere, straight on the database.

use clap::Subcommand;
use uuid::Uuid;

use super::Failure;
use super::operate::{by_operator, open};
use crate::config::Config;
use crate::model::{DeliveryState, WebhookId, destination};
use crate::store::{DeliveryFilter, Store};

/// What comes before an endpoint's name or identifier.
const WEBHOOK: &str = "webhook:";
/// How many rows are read at a time.
const PAGE: i64 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum DeliveryCommand {
    /// List what has not arrived, by destination and time.
    List {
        /// Where to: `rabbitmq`, `nextcloud`, `webhook:NAME`.
        #[arg(long)]
        destination: Option<String>,
        /// What has become of it: `pending` or `dead`.
        #[arg(long)]
        state: Option<DeliveryState>,
    },
    /// Try once more what is not tried any more.
    Replay {
        /// Where to: `rabbitmq`, `nextcloud`, `webhook:NAME`.
        #[arg(long)]
        destination: String,
        /// Only these events; all where there are none.
        #[arg(long = "event", value_name = "ID", num_args = 1..)]
        events: Vec<Uuid>,
    },
}

impl DeliveryCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let (store, clock) = open(&config).await?;
        match self {
            Self::List { destination, state } => {
                let destination = match destination {
                    Some(name) => Some(whole(&store, name).await?),
                    None => None,
                };
                print_all(&store, &DeliveryFilter { destination, state }).await
            }
            Self::Replay { destination, events } => {
                let destination = whole(&store, destination).await?;
                let replayed = store.replay_deliveries(&destination, &events, &by_operator(&clock)).await?;
                println!("{replayed} are tried once more");
                Ok(())
            }
        }
    }
}

async fn print_all(store: &Store, filter: &DeliveryFilter) -> Result<(), Failure> {
    let mut behind = (String::new(), i64::MIN);
    loop {
        let page = store.deliveries_where(filter, (&behind.0, behind.1), PAGE).await?;
        for delivery in &page {
            let (at, state) = (delivery.at.to_rfc3339(), delivery.state.as_str());
            println!(
                "{}  {}  {}  {at}  {state}  {} attempts  {}",
                delivery.destination, delivery.event_id, delivery.kind, delivery.attempts, delivery.last_error
            );
        }
        match page.into_iter().last() {
            Some(last) => behind = (last.destination, last.seq),
            None => return Ok(()),
        }
    }
}

/// A destination's name, where an endpoint may be called as operators call it.
async fn whole(store: &Store, name: String) -> Result<String, Failure> {
    let Some(called) = name.strip_prefix(WEBHOOK).filter(|called| called.parse::<WebhookId>().is_err()) else {
        return Ok(name);
    };
    let found = store.webhook_called(called).await?;
    Ok(destination(found.ok_or_else(|| format!("there is no endpoint called `{called}`"))?.id))
}
