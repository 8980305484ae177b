//! `countersign healthcheck`: for containers, which have no other program to ask with.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Failure, load, pinned};

const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Where the server listens; by default where the configuration says.
    #[arg(long, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
    /// With `--address`, the file with the certificate that the server must show, where it speaks TLS. By default the
    /// configuration says whether it does, and any certificate will do: after a renewal the server shows the former one for a
    /// while.
    #[arg(long, value_name = "FILE", requires = "address")]
    certificate: Option<PathBuf>,
    /// Which service to ask about; by default the whole server.
    #[arg(long, default_value = "")]
    service: String,
}

impl Healthcheck {
    /// Who is to be asked, and whether over TLS.
    pub(super) fn server(&self, config: Option<&Path>) -> Result<(SocketAddr, bool), Failure> {
        let (mut address, tls) = match self.address {
            Some(address) => (address, self.certificate.is_some()),
            None => {
                let config = load(config)?;
                (config.grpc.listen, config.tls.is_some())
            }
        };
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        Ok((address, tls))
    }

    pub(super) async fn run(self, address: SocketAddr, tls: bool) -> Result<(), Failure> {
        let failed = |cause: String| -> Failure { format!("{address} does not serve: {cause}").into() };
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.connect_timeout(PATIENCE).timeout(PATIENCE);
        let channel = if tls {
            let connector = pinned::connector(address, self.certificate.as_deref())?;
            endpoint.connect_with_connector(connector).await
        } else {
            endpoint.connect().await
        };
        let channel = channel.map_err(|error| failed(with_causes(&error)))?;
        let request = HealthCheckRequest { service: self.service };
        let answer = HealthClient::new(channel).check(request).await;
        match answer.map_err(|status| failed(status.message().to_owned()))?.into_inner().status() {
            ServingStatus::Serving => Ok(()),
            other => Err(failed(other.as_str_name().to_owned())),
        }
    }
}

/// An error with what lies beneath it: that a connection failed says little.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
