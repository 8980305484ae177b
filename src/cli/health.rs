//! `countersign healthcheck`: for containers, which have no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use clap::Args;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Failure, load};

const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Where the server listens; by default where the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// Which service to ask about; by default the whole server.
    #[arg(long, default_value = "")]
    service: String,
}

impl Healthcheck {
    /// Who is to be asked.
    pub(super) fn address(&self, config: Option<&Path>) -> Result<SocketAddr, Failure> {
        let mut address = match self.address {
            Some(address) => address,
            None => load(config)?.grpc.listen,
        };
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Ok(address)
    }

    pub(super) async fn run(self, address: SocketAddr) -> Result<(), Failure> {
        let failed = |cause: String| -> Failure { format!("{address} does not serve: {cause}").into() };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(PATIENCE).timeout(PATIENCE);
        let channel = endpoint.connect().await.map_err(|error| failed(error.to_string()))?;
        let request = HealthCheckRequest { service: self.service };
        let answer = HealthClient::new(channel).check(request).await;
        match answer.map_err(|status| failed(status.message().to_owned()))?.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(failed(other.as_str_name().to_owned())),
        }
    }
}
