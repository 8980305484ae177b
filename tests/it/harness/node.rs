//! One node of an installation.

use std::net::SocketAddr;
use std::sync::Arc;

use countersign::app::App;
use countersign::clock::Clock;
use countersign::config::Config;
use countersign::model::Message;
use countersign::proto::v1::account_service_client::AccountServiceClient;
use countersign::proto::v1::admin_service_client::AdminServiceClient;
use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::server::{self, Listeners, ServeError};
use countersign::shutdown::{self, Trigger};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use super::SharedApp;

/// A running server and a channel to it.
pub(crate) struct Node {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub channel: Channel,
    app: SharedApp,
    trigger: Trigger,
    running: JoinHandle<Result<(), ServeError>>,
}

impl Node {
    pub(super) async fn start(
        settings: &[(String, String)],
        clock: Clock,
        codes: mpsc::UnboundedSender<Message>,
    ) -> Self {
        let variables = settings.iter().map(|(name, value)| {
            (format!("COUNTERSIGN__{}", name.to_ascii_uppercase().replace('.', "__")), value.clone())
        });
        let config = Config::load(None, variables).unwrap();
        let listeners = Listeners::bind(config.grpc.listen, config.http_listen).await.unwrap();
        let (grpc, http) = (listeners.grpc_address().unwrap(), listeners.http_address().unwrap());
        let app = Arc::new(App::open(config, clock, Some(codes)).await.unwrap());
        let (trigger, view) = shutdown::channel();
        let running = tokio::spawn(server::run(Arc::clone(&app), listeners, view));
        // Where the ports speak TLS, a test connects by itself.
        let channel = match app.config.tls {
            None => Endpoint::from_shared(format!("http://{grpc}")).unwrap().connect().await.unwrap(),
            Some(_) => Endpoint::from_static("http://127.0.0.1:0").connect_lazy(),
        };
        Self { grpc, http, channel, app, trigger, running }
    }

    /// What runs behind the port.
    pub(crate) fn app(&self) -> &SharedApp {
        &self.app
    }

    /// Takes the database away from it.
    pub(crate) async fn shut_database(&self) {
        self.app.store.close().await;
        self.app.vital.close().await;
        self.app.background.close().await;
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap().connect().await.unwrap()
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    pub(crate) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        let Self { app, trigger, running, channel, .. } = self;
        drop((app, channel));
        trigger.pull();
        running.await.unwrap().unwrap();
    }
}
