//! What operators see: figures, logs and traces, and the dashboard and alerts that are made of them.

mod calls;
mod canaries;
mod collector;
mod dashboard;
mod log;
mod sink;

use countersign::proto::v1::auth_service_client::AuthServiceClient;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use tonic::transport::{Channel, Endpoint};

use crate::harness::{Backend, Program, TestApp};

/// The program as a process of its own, on the installation of `app`.
pub(crate) struct Running {
    pub program: Program,
    pub channel: Channel,
    pub api_key: String,
    app: TestApp,
}

impl Running {
    pub(crate) async fn start(backend: Backend, settings: &[(&str, &str)]) -> Self {
        let mut app = TestApp::with(backend, settings).await;
        for node in app.nodes.drain(..) {
            node.stop().await;
        }
        let program = Program::start(&app.settings);
        let channel = Endpoint::from_shared(program.address().await).unwrap().connect().await.unwrap();
        Self { program, channel, api_key: app.api_key.clone(), app }
    }

    /// The value of a setting that differs from the defaults.
    pub(crate) fn settings(&self, name: &str) -> String {
        self.app.settings.iter().find(|(known, _)| known == name).unwrap().1.clone()
    }

    pub(crate) fn auth(&self) -> AuthServiceClient<Channel> {
        AuthServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    /// What it serves under `/metrics`.
    pub(crate) async fn figures(&self) -> String {
        reqwest::get(format!("{}/metrics", self.program.http_address())).await.unwrap().text().await.unwrap()
    }
}
