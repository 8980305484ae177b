//! `countersign demo`: the life of a session and of an account, told step by step. Owns the arguments and the private server;
//! `walk` and `people` have the steps, `client` the calls, `code` the way a code gets here, `stand_in` an identity provider for
//! the private server, `page` how it all looks.

mod client;
mod code;
mod page;
mod people;
mod stand_in;
mod walk;

use std::sync::Arc;

use clap::Args;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::client::Client;
use self::code::Codes;
use self::page::Page;
use self::stand_in::StandIn;
use self::walk::Walk;
use super::Failure;
use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Message;
use crate::random::Random;
use crate::secret::Secret;
use crate::server::{self, Listeners, ServeError};
use crate::shutdown::{self, Trigger};

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// A running server, by where it serves gRPC; by default a private one is started, and leaves nothing behind.
    #[arg(long, value_name = "URL", requires = "api_key")]
    server: Option<String>,
    /// An API key of that server with the permissions introspect and revoke; with admin it shows a block as well.
    #[arg(long, value_name = "KEY", requires = "server")]
    api_key: Option<String>,
    /// Who signs in; by default one of the numbers that are set aside for films, which belong to nobody.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Who signs up step by step: a number that has no account yet; by default another one for films.
    #[arg(long, value_name = "NUMBER")]
    newcomer: Option<String>,
    /// A national id to ask a running server's identity provider about, which may cost money. Without it nobody is asked.
    #[arg(long, value_name = "NUMBER", requires = "server")]
    national_id: Option<String>,
}

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        // Each from a half of its own, so that they are two.
        let phone = self.phone.unwrap_or_else(|| number_of_nobody(0));
        let newcomer = self.newcomer.unwrap_or_else(|| number_of_nobody(500));
        let national_id = self.national_id;
        let page = Page::on_stdout();
        let (Some(url), Some(key)) = (self.server, self.api_key) else {
            page.title("against a private server that is gone when this ends");
            let (server, codes) = PrivateServer::start().await?;
            let client = Client::connect(&server.url, server.api_key.expose()).await?;
            let codes = Codes::FromServer(codes);
            let outcome = Walk { client, codes, page, phone, newcomer, national_id }.run().await;
            server.stop().await?;
            return outcome;
        };
        page.title(&format!("against {url}"));
        let client = Client::connect(&url, &key).await?;
        Walk { client, codes: Codes::Typed, page, phone, newcomer, national_id }.run().await
    }
}

/// Ofcom keeps 07700 900000 to 900999 for drama. A new one each time, so that trying again meets no limit.
fn number_of_nobody(from: u32) -> String {
    format!("+447700900{:03}", from + Random.below(500))
}

/// A server of this process, with everything in memory.
struct PrivateServer {
    url: String,
    api_key: Secret<String>,
    _stand_in: StandIn,
    trigger: Trigger,
    running: JoinHandle<Result<(), ServeError>>,
}

impl PrivateServer {
    /// Starts it on free ports. The codes that it would send arrive at the receiver.
    async fn start() -> Result<(Self, mpsc::UnboundedReceiver<Message>), Failure> {
        let stand_in = StandIn::start().await?;
        let settings = [
            ("COUNTERSIGN__GRPC__LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN__GRPC__WORKERS", "1"),
            ("COUNTERSIGN__GRPC__DRAIN", "1s"),
            ("COUNTERSIGN__HTTP__LISTEN", "127.0.0.1:0"),
            ("COUNTERSIGN__DATABASE__URL", "sqlite::memory:"),
            ("COUNTERSIGN__CACHE__URL", "memory:"),
            ("COUNTERSIGN__PASSWORD__RESET_URL", "https://app.example/password?token={token}"),
            ("COUNTERSIGN__IDENTITY__PROVIDER", "http"),
            ("COUNTERSIGN__IDENTITY__HTTP__URL", &stand_in.url),
        ];
        let config = Config::load(None, settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter())?;
        let listeners = Listeners::bind(config.grpc.listen, config.http_listen).await?;
        let url = format!("http://{}", listeners.grpc_address()?);
        let (sender, codes) = mpsc::unbounded_channel();
        let app = Arc::new(App::open(config, Clock::System, Some(sender)).await?);
        let api_key = app.development_key().await?.unwrap_or_default();
        let (trigger, view) = shutdown::channel();
        let running = tokio::spawn(server::run(app, listeners, view));
        Ok((Self { url, api_key, _stand_in: stand_in, trigger, running }, codes))
    }

    async fn stop(self) -> Result<(), Failure> {
        self.trigger.pull();
        Ok(self.running.await??)
    }
}
