//! The way to the service: where it is, how it is known, who calls, and how long anything may take.

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity as ClientCertificate};
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use crate::proto::v1::account_service_client::AccountServiceClient;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::auth_service_client::AuthServiceClient;
use crate::proto::v1::token_service_client::TokenServiceClient;

/// Where a caller's API key travels, so that a person's token has `authorization` to itself.
const API_KEY: &str = "x-api-key";
/// The largest answer that is read: keys, answers about tokens, and what a stream tells at once are far smaller.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// What calls go through: a channel, and the API key if there is one.
pub type Service = InterceptedService<Channel, Caller>;

/// Why no connection can be made up. A service that is away is none of these: connections come about when they are needed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No address was given.
    #[error("there is no address to connect to")]
    NoAddress,
    /// It is not an `http://` or `https://` URL.
    #[error("`{0}` is no URL to connect to")]
    Address(String),
    /// A CA or a client certificate was given, but the address has no TLS.
    #[error("`{0}` has no TLS, so that certificates would go unused")]
    WithoutTls(String),
    /// A certificate or key cannot be used.
    #[error("the certificates cannot be used: {0}")]
    Certificates(#[source] tonic::transport::Error),
    /// The API key cannot be sent.
    #[error("the API key has characters that cannot be sent")]
    ApiKey,
}

/// The way to the service. Clones share their connections.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use countersign_client::Connection;
///
/// let connection = Connection::to("http://127.0.0.1:50051").api_key("csk_example").connect()?;
/// let _tokens = connection.tokens();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Connection {
    service: Service,
    call_timeout: Duration,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("call_timeout", &self.call_timeout).finish_non_exhaustive()
    }
}

/// How a connection is to be.
#[derive(Clone)]
pub struct ConnectionBuilder {
    addresses: Vec<String>,
    api_key: Option<Zeroizing<String>>,
    authorities: Vec<Certificate>,
    certificate: Option<ClientCertificate>,
    server_name: Option<String>,
    connect_timeout: Duration,
    call_timeout: Duration,
    ping_every: Duration,
    ping_timeout: Duration,
}

/// Without the key.
impl fmt::Debug for ConnectionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionBuilder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins with one address: `https://auth.example.com`, or `http://…` where the network itself is trusted.
    pub fn to(address: impl Into<String>) -> ConnectionBuilder {
        Self::to_any([address])
    }

    /// Begins with several addresses of one installation. Calls are spread over those that answer.
    pub fn to_any(addresses: impl IntoIterator<Item = impl Into<String>>) -> ConnectionBuilder {
        ConnectionBuilder {
            addresses: addresses.into_iter().map(Into::into).collect(),
            api_key: None,
            authorities: Vec::new(),
            certificate: None,
            server_name: None,
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(5),
            ping_every: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(5),
        }
    }

    /// A way that somebody else has made. `call_timeout` is how long one call may take.
    #[must_use]
    pub fn over(channel: Channel, call_timeout: Duration) -> Self {
        Self { service: InterceptedService::new(channel, Caller(None)), call_timeout }
    }

    /// Getting in and out.
    #[must_use]
    pub fn auth(&self) -> AuthServiceClient<Service> {
        AuthServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// Keeping, checking and taking back tokens.
    #[must_use]
    pub fn tokens(&self) -> TokenServiceClient<Service> {
        TokenServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// One's own account.
    #[must_use]
    pub fn accounts(&self) -> AccountServiceClient<Service> {
        AccountServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// For operators.
    #[must_use]
    pub fn admin(&self) -> AdminServiceClient<Service> {
        AdminServiceClient::new(self.service.clone()).max_decoding_message_size(MAX_ANSWER)
    }

    /// How long one call may take.
    #[must_use]
    pub const fn call_timeout(&self) -> Duration {
        self.call_timeout
    }

    /// Waits for one answer, and no longer than a call may take: the time that tonic keeps ends with the headers.
    pub(crate) async fn answer<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded("no answer came in time")),
        }
    }
}

impl ConnectionBuilder {
    /// Who calls: the API key (`csk_…`) of a caller. It is sent as `x-api-key`, so that `authorization` is free for a
    /// person's token.
    #[must_use]
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(Zeroizing::new(key.into()));
        self
    }

    /// Whom to believe that the service is the service: CA certificates in PEM, in place of the system's.
    #[must_use]
    pub fn authority(mut self, pem: impl AsRef<[u8]>) -> Self {
        self.authorities.push(Certificate::from_pem(pem));
        self
    }

    /// Who calls, by mutual TLS: a certificate and its key, both in PEM.
    #[must_use]
    pub fn certificate(mut self, certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Self {
        self.certificate = Some(ClientCertificate::from_pem(certificate, key));
        self
    }

    /// The name in the service's certificate, where it is not the one in the address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// How long it may take to connect. 2 s, unless told otherwise.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one call may take. 5 s, unless told otherwise. Streams last longer.
    #[must_use]
    pub const fn call_timeout(mut self, limit: Duration) -> Self {
        self.call_timeout = limit;
        self
    }

    /// How often the other side is asked for a sign of life, and how long that may take, so that a connection that has gone
    /// silent is found out. 10 s and 5 s, unless told otherwise.
    #[must_use]
    pub const fn pings(mut self, every: Duration, limit: Duration) -> Self {
        (self.ping_every, self.ping_timeout) = (every, limit);
        self
    }

    /// Checks all of it. Nothing is connected before the first call. To be called on a tokio runtime.
    pub fn connect(self) -> Result<Connection, ConnectError> {
        let caller = Caller::new(self.api_key.as_deref().map(String::as_str))?;
        let endpoints: Vec<_> =
            self.addresses.iter().map(|address| self.endpoint(address)).collect::<Result<_, _>>()?;
        let channel = match endpoints.as_slice() {
            [] => return Err(ConnectError::NoAddress),
            [only] => only.connect_lazy(),
            _ => Channel::balance_list(endpoints.into_iter()),
        };
        Ok(Connection { service: InterceptedService::new(channel, caller), call_timeout: self.call_timeout })
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint, ConnectError> {
        let bad = || ConnectError::Address(address.to_owned());
        let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|_| bad())?;
        let encrypted = match endpoint.uri().scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad()),
        };
        let endpoint = endpoint
            .connect_timeout(self.connect_timeout)
            .timeout(self.call_timeout)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(self.ping_every))
            .http2_keep_alive_interval(self.ping_every)
            .keep_alive_timeout(self.ping_timeout)
            .keep_alive_while_idle(true);
        if encrypted {
            return endpoint.tls_config(self.tls()).map_err(ConnectError::Certificates);
        }
        if self.authorities.is_empty() && self.certificate.is_none() {
            Ok(endpoint)
        } else {
            Err(ConnectError::WithoutTls(address.to_owned()))
        }
    }

    fn tls(&self) -> ClientTlsConfig {
        let mut tls = ClientTlsConfig::new().timeout(self.connect_timeout);
        tls = if self.authorities.is_empty() {
            tls.with_native_roots()
        } else {
            tls.ca_certificates(self.authorities.iter().cloned())
        };
        if let Some(certificate) = &self.certificate {
            tls = tls.identity(certificate.clone());
        }
        match &self.server_name {
            Some(name) => tls.domain_name(name.clone()),
            None => tls,
        }
    }
}

/// Says with each call who calls.
#[derive(Clone)]
pub struct Caller(Option<MetadataValue<Ascii>>);

/// Without the key.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Caller([redacted])" } else { "Caller(None)" })
    }
}

impl Caller {
    fn new(api_key: Option<&str>) -> Result<Self, ConnectError> {
        let Some(api_key) = api_key else { return Ok(Self(None)) };
        let mut value: MetadataValue<Ascii> = api_key.parse().map_err(|_| ConnectError::ApiKey)?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(api_key) = &self.0 {
            request.metadata_mut().insert(API_KEY, api_key.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_a_connection_is_said_at_once() {
        let refused = |builder: ConnectionBuilder| builder.connect().unwrap_err().to_string();
        assert_eq!(refused(Connection::to_any(Vec::<String>::new())), "there is no address to connect to");
        for bad in ["", "auth.example.com:443", "ftp://auth.example.com", "http://"] {
            assert!(refused(Connection::to(bad)).ends_with("is no URL to connect to"), "{bad}");
        }
        assert!(refused(Connection::to("http://localhost").authority("")).contains("has no TLS"));
        assert!(refused(Connection::to("http://localhost").certificate("", "")).contains("has no TLS"));
        assert!(refused(Connection::to("https://localhost").certificate("-", "-")).starts_with("the certificates"));
        assert!(refused(Connection::to("http://localhost").api_key("a\nb")).starts_with("the API key"));
        Connection::to_any(["http://127.0.0.1:1", "http://127.0.0.1:2"]).connect().unwrap();
        Connection::to("https://auth.example.com").server_name("auth").connect().unwrap();
    }

    #[tokio::test]
    async fn the_key_is_sent_and_never_printed() {
        let builder = Connection::to("http://127.0.0.1:1").api_key("csk_canary");
        let mut caller = Caller::new(Some("csk_canary")).unwrap();
        let request = caller.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get(API_KEY).unwrap(), "csk_canary");
        assert!(request.metadata().get("authorization").is_none());
        let printed = format!("{builder:?} {caller:?} {request:?} {:?}", builder.clone().connect().unwrap());
        assert!(!printed.contains("canary"), "{printed}");
    }
}
