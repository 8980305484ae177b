//! Endpoints that events are posted to, straight on the database. Running nodes notice within a second or so.

use clap::Subcommand;

use super::Failure;
use super::operate::{by_operator, open};
use crate::app::root_key;
use crate::config::Config;
use crate::events::webhooks::Webhooks;
use crate::model::{KindFilter, WebhookName};

#[derive(Debug, Subcommand)]
pub(super) enum WebhookCommand {
    /// Post events to an endpoint, and print the secret they are signed with. It is shown this once.
    Create {
        /// What to call it.
        #[arg(long)]
        name: WebhookName,
        /// Where it is.
        #[arg(long)]
        url: String,
        /// Of which kinds events are posted, such as `account.created` or `account.*`; of all where there are none.
        #[arg(long = "kind", value_name = "KIND", num_args = 1..)]
        kinds: Vec<String>,
    },
    /// List where events are posted to.
    List,
    /// Replace an endpoint's secret, and print the new one. The one before signs as well for a while.
    RotateSecret {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
    /// Post events again to an endpoint that said that it was gone.
    Enable {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
    /// Post nothing more to an endpoint, and forget what has not arrived there.
    Delete {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
}

impl WebhookCommand {
    pub(super) async fn run(self, config: Config) -> Result<(), Failure> {
        let (store, clock) = open(&config).await?;
        let cause = by_operator(&clock);
        let webhooks = Webhooks::new(&config, &root_key(&config, &store).await?, store, clock);
        match self {
            Self::Create { name, url, kinds } => {
                let kinds = KindFilter::parse(&kinds)?;
                let url = webhooks.url(&url).map_err(|fault| format!("--url {fault}"))?;
                let (_, secret) = webhooks.create(&name, &url, &kinds, None, &cause).await?;
                println!("{}", secret.expose());
            }
            Self::List => {
                for webhook in webhooks.list("", i64::MAX).await? {
                    let kinds = webhook.kinds.names().join(" ");
                    let kinds = if kinds.is_empty() { "all" } else { &kinds };
                    let disabled = webhook.disabled_at.map(|since| format!("  disabled since {}", since.to_rfc3339()));
                    println!(
                        "{}  {}  {}  {kinds}{}",
                        webhook.id,
                        webhook.name,
                        webhook.url,
                        disabled.unwrap_or_default()
                    );
                }
            }
            Self::RotateSecret { name } => {
                let new = webhooks.rotate_secret(webhooks.id_of(&name).await?, None, &cause).await?;
                println!("{}", new.secret.expose());
            }
            Self::Enable { name } => drop(webhooks.enable(webhooks.id_of(&name).await?, &cause).await?),
            Self::Delete { name } => webhooks.delete(webhooks.id_of(&name).await?, &cause).await?,
        }
        Ok(())
    }
}
