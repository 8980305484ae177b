//! `countersign demo`: the life of a session, told step by step. Owns the arguments and the private server; `walk` has the
//! steps, `client` the calls, `code` the way a code gets here, `page` how it all looks.

mod client;
mod code;
mod page;
mod walk;

use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::client::Client;
use self::code::Codes;
use self::page::Page;
use self::walk::Walk;
use super::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Message;
use crate::random::Random;
use crate::secret::Secret;
use crate::server::{self, Listeners};
use crate::shutdown::{self, Trigger};

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// A running server, by where it serves gRPC; by default a private one is started, and leaves nothing behind.
    #[arg(long, value_name = "URL", requires = "api_key")]
    server: Option<String>,
    /// An API key of that server with the permissions introspect and revoke.
    #[arg(long, value_name = "KEY", requires = "server")]
    api_key: Option<String>,
    /// Who signs in; by default one of the numbers that are set aside for films, which belong to nobody.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let phone = self.phone.unwrap_or_else(number_of_nobody);
        let page = Page::on_stdout();
        let (Some(url), Some(key)) = (self.server, self.api_key) else {
            page.title("against a private server that is gone when this ends");
            let (server, codes) = PrivateServer::start().await?;
            let client = Client::connect(&server.url, server.api_key.expose()).await?;
            let outcome = Walk { client, codes: Codes::FromServer(codes), page, phone }.run().await;
            server.stop().await?;
            return outcome;
        };
        page.title(&format!("against {url}"));
        let client = Client::connect(&url, &key).await?;
        Walk { client, codes: Codes::Typed, page, phone }.run().await
    }
}

/// Ofcom keeps 07700 900000 to 900999 for drama. A new one each time, so that trying again meets no limit.
fn number_of_nobody() -> String {
    format!("+447700900{:03}", Random.below(1_000))
}

/// A server of this process, with everything in memory.
struct PrivateServer {
    url: String,
    api_key: Secret<String>,
    trigger: Trigger,
    running: JoinHandle<std::io::Result<()>>,
}

impl PrivateServer {
    /// Starts it on free ports. The codes that it would send arrive at the receiver.
    async fn start() -> Result<(Self, mpsc::UnboundedReceiver<Message>), Failure> {
        let settings = [
            ("COUNTERSIGN__GRPC__LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN__GRPC__WORKERS", "1"),
            ("COUNTERSIGN__GRPC__DRAIN", "1s"),
            ("COUNTERSIGN__HTTP__LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN__DATABASE__URL", "sqlite::memory:"),
            ("COUNTERSIGN__CACHE__URL", "memory:"),
        ];
        let config = Config::load(None, settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter())?;
        let listeners = Listeners::bind(config.grpc.listen, config.http_listen).await?;
        let url = format!("http://{}", listeners.grpc_address()?);
        let (sender, codes) = mpsc::unbounded_channel();
        let app = Arc::new(App::open(config, Clock::System, Some(sender)).await?);
        let api_key = app.development_key().await?.unwrap_or_default();
        let (trigger, view) = shutdown::channel();
        let running = tokio::spawn(server::run(app, listeners, view));
        Ok((Self { url, api_key, trigger, running }, codes))
    }

    async fn stop(self) -> Result<(), Failure> {
        self.trigger.pull();
        Ok(self.running.await??)
    }
}
