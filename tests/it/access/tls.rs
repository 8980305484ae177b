//! TLS on both ports, and callers who are known by their certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign::proto::v1;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use super::program::Place;
use crate::harness::{Authority, Backend, Certified, TestApp, bearer, details, figure, on_both_backends};

on_both_backends!(
    a_caller_is_known_by_its_certificate,
    who_is_not_vouched_for_is_nobody,
    a_certificate_belongs_to_one_caller,
    a_certificate_is_enough_over_http,
);

/// How long anything may take that ought to be there soon.
const PATIENCE: Duration = Duration::from_secs(20);

/// An installation whose ports speak TLS.
struct Secured {
    app: TestApp,
    authority: Authority,
    folder: TempDir,
}

impl Secured {
    async fn new(backend: Backend, own: &[(&str, &str)]) -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let (certificate, key) = authority.certify(&["localhost", "127.0.0.1"]).write(folder.path());
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, &authority.pem).unwrap();
        let mut settings = vec![
            ("tls.certificate_file", certificate.to_str().unwrap()),
            ("tls.key_file", key.to_str().unwrap()),
            ("tls.client_ca_file", ca.to_str().unwrap()),
            ("tls.reload_every", "1s"),
        ];
        settings.extend(own);
        let app = TestApp::with(backend, &settings).await;
        Self { app, authority, folder }
    }

    /// A connection by somebody with this certificate, or with none.
    async fn connect(&self, identity: Option<&Certified>) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.authority.pem));
        if let Some(Certified { certificate, key }) = identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://localhost:{}", self.app.node().grpc.port())).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await
    }

    /// Lets a caller in that is known by a name in its certificate.
    async fn create_caller(
        &self,
        name: &str,
        certificate_name: &str,
    ) -> Result<v1::CreateCallerResponse, tonic::Status> {
        let channel = self.connect(None).await.unwrap();
        let request = v1::CreateCallerRequest {
            name: name.to_owned(),
            permissions: vec![v1::Permission::Introspect.into(), v1::Permission::Check.into()],
            certificate_name: certificate_name.to_owned(),
            ..Default::default()
        };
        let mut admin = v1::admin_service_client::AdminServiceClient::new(channel);
        admin.create_caller(bearer(request, &self.app.api_key)).await.map(tonic::Response::into_inner)
    }
}

/// Whether somebody may introspect over this connection; if not, why.
async fn introspects(channel: &Channel, key: Option<&str>) -> Result<(), (Code, String)> {
    let mut request = Request::new(v1::IntrospectRequest { token: "x".to_owned(), ..Default::default() });
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    let answer = TokenServiceClient::new(channel.clone()).introspect(request).await;
    answer.map(drop).map_err(|status| (status.code(), details(&status).reason))
}

fn refused<T>(reason: &str) -> Result<T, (Code, String)> {
    Err((Code::Unauthenticated, reason.to_owned()))
}

async fn a_caller_is_known_by_its_certificate(backend: Backend) {
    let secured = Secured::new(backend, &[]).await;
    let created = secured.create_caller("orders", "uri:spiffe://prod.example/ns/shop/sa/orders").await.unwrap();
    assert_eq!(created.api_key, "");
    let caller = created.caller.unwrap();
    assert_eq!(caller.certificate_name, "uri:spiffe://prod.example/ns/shop/sa/orders");
    secured.create_caller("carts", "dns:Carts.Internal").await.unwrap();

    let orders = secured.authority.certify(&["uri:spiffe://prod.example/ns/shop/sa/orders", "orders.internal"]);
    let carts = secured.authority.certify(&["carts.internal"]);
    let [orders, carts] = [secured.connect(Some(&orders)).await.unwrap(), secured.connect(Some(&carts)).await.unwrap()];
    assert_eq!(introspects(&orders, None).await, Ok(()));
    assert_eq!(introspects(&carts, None).await, Ok(()));
    // A key beside it says more exactly who calls, and a wrong one is noticed.
    assert_eq!(introspects(&carts, Some(&secured.app.api_key)).await, Ok(()));
    assert_eq!(introspects(&carts, Some("csk_wrong")).await, refused("API_KEY_INVALID"));
    // It may do what it may do, and nothing else.
    let keys = v1::ListSigningKeysRequest::default();
    let mut admin = v1::admin_service_client::AdminServiceClient::new(orders.clone());
    assert_eq!(admin.list_signing_keys(keys).await.unwrap_err().code(), Code::PermissionDenied);

    // Whoever is deleted is shut out at once, on the connection that is open.
    let delete = bearer(v1::DeleteCallerRequest { caller_id: caller.caller_id }, &secured.app.api_key);
    let mut admin = v1::admin_service_client::AdminServiceClient::new(carts.clone());
    admin.delete_caller(delete).await.unwrap();
    assert_eq!(introspects(&orders, None).await, refused("CREDENTIALS_MISSING"));
    secured.app.stop().await;
}

async fn who_is_not_vouched_for_is_nobody(backend: Backend) {
    let secured = Secured::new(backend, &[]).await;
    secured.create_caller("orders", "uri:spiffe://prod.example/orders").await.unwrap();
    for names in
        [&["uri:spiffe://prod.example/order"][..], &["orders.internal"], &["uri:spiffe://prod.example/orders/x"]]
    {
        let channel = secured.connect(Some(&secured.authority.certify(names))).await.unwrap();
        assert_eq!(introspects(&channel, None).await, refused("CREDENTIALS_MISSING"), "{names:?}");
    }
    assert_eq!(introspects(&secured.connect(None).await.unwrap(), None).await, refused("CREDENTIALS_MISSING"));
    // The right name from somebody else's authority does not even get through the handshake.
    let forged = Authority::new().certify(&["uri:spiffe://prod.example/orders"]);
    let answer = match secured.connect(Some(&forged)).await {
        Ok(channel) => TokenServiceClient::new(channel).get_jwks(v1::GetJwksRequest::default()).await.map(drop),
        Err(error) => Err(tonic::Status::unavailable(error.to_string())),
    };
    assert!(answer.is_err());
    secured.app.stop().await;
}

async fn a_certificate_belongs_to_one_caller(backend: Backend) {
    let secured = Secured::new(backend, &[]).await;
    secured.create_caller("orders", "uri:spiffe://prod.example/orders").await.unwrap();
    let taken = secured.create_caller("other", "uri:spiffe://prod.example/orders").await.unwrap_err();
    assert_eq!((taken.code(), details(&taken).reason.as_str()), (Code::AlreadyExists, "CERTIFICATE_NAME_TAKEN"));
    for bad in ["orders", "dns:*.internal", "uri:", "ip:10.0.0.1"] {
        let refused = details(&secured.create_caller("bad", bad).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["certificate_name".to_owned()]));
    }
    secured.create_caller("carts", "dns:carts.internal").await.unwrap();
    let both = secured.authority.certify(&["uri:spiffe://prod.example/orders", "carts.internal"]);
    let channel = secured.connect(Some(&both)).await.unwrap();
    assert_eq!(introspects(&channel, None).await, refused("CREDENTIALS_MISSING"));
    secured.app.stop().await;
}

async fn a_certificate_is_enough_over_http(backend: Backend) {
    let secured = Secured::new(backend, &[]).await;
    secured.create_caller("orders", "dns:orders.internal").await.unwrap();
    let client = |names: &[&str]| {
        let Certified { certificate, key } = secured.authority.certify(names);
        let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
        let root = reqwest::Certificate::from_pem(secured.authority.pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_merge([root]).identity(identity).build().unwrap()
    };
    let (orders, other) = (client(&["orders.internal"]), client(&["carts.internal"]));
    let at = |path: &str| format!("https://localhost:{}{path}", secured.app.node().http.port());
    for (client, introspection, check, revocation) in [(&orders, 200, 200, 403), (&other, 401, 403, 401)] {
        let post = |path: &str| {
            client.post(at(path)).header("content-type", "application/x-www-form-urlencoded").body("token=x")
        };
        assert_eq!(post("/oauth2/introspect").send().await.unwrap().status(), introspection);
        assert_eq!(post("/oauth2/revoke").send().await.unwrap().status(), revocation);
        assert_eq!(client.get(at("/auth/check?optional=true")).send().await.unwrap().status(), check);
        // A key says more exactly who asks, and a wrong one is noticed.
        let key = &secured.app.api_key;
        assert_eq!(post("/oauth2/revoke").header("x-api-key", key).send().await.unwrap().status(), 200);
        assert_eq!(post("/oauth2/introspect").bearer_auth("csk_wrong").send().await.unwrap().status(), 401);
        let wrong = client.get(at("/auth/check?optional=true")).header("x-api-key", "csk_wrong");
        assert_eq!(wrong.send().await.unwrap().status(), 403);
    }
    secured.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_can_be_demanded() {
    let demanding = [("tls.require_client_certificate", "true")];
    let secured = Secured::new(Backend::Embedded, &demanding).await;
    let stranger = match secured.connect(None).await {
        Ok(channel) => TokenServiceClient::new(channel).get_jwks(v1::GetJwksRequest::default()).await.map(drop),
        Err(error) => Err(tonic::Status::unavailable(error.to_string())),
    };
    assert!(stranger.is_err());
    let known = secured.connect(Some(&secured.authority.certify(&["anybody.internal"]))).await.unwrap();
    TokenServiceClient::new(known).get_jwks(v1::GetJwksRequest::default()).await.unwrap();
    // Those who fetch keys, and probes, come to the other port without one.
    assert!(get(&secured, &rustls::version::TLS13).await.unwrap().1.starts_with("HTTP/1.1 200"));
    secured.app.stop().await;
}

/// Asks the HTTP port for the keys, with one version of TLS: the version that was agreed on, the certificate and the answer.
async fn get(
    secured: &Secured,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<(ProtocolVersion, String, CertificateDer<'static>)> {
    let mut stream = shake_hands(secured, secured.app.node().http, version).await?;
    let request = b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    // Some servers end a connection without saying so in TLS.
    let _ = stream.read_to_string(&mut answer).await;
    let session = stream.get_ref().1;
    let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
    Ok((session.protocol_version().unwrap(), answer, certificate))
}

async fn shake_hands(
    secured: &Secured,
    address: SocketAddr,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(secured.authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ports_speak_tls_and_nothing_else() {
    let secured = Secured::new(Backend::Embedded, &[]).await;
    for (version, name) in
        [(&rustls::version::TLS13, ProtocolVersion::TLSv1_3), (&rustls::version::TLS12, ProtocolVersion::TLSv1_2)]
    {
        let (agreed, answer, _) = get(&secured, version).await.unwrap();
        assert_eq!(agreed, name);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"keys\""), "{answer}");
        let stream = shake_hands(&secured, secured.app.node().grpc, version).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(name));
    }
    for address in [secured.app.node().grpc, secured.app.node().http] {
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = plain.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    secured.app.stop().await;
}

/// N4 on the HTTP port: whatever a connection has said before it falls silent, it is closed in time, in plain text and in TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_silence_on_the_http_port_ends() {
    let (secured, open) = (Secured::new(Backend::Embedded, &[]).await, TestApp::new(Backend::Embedded).await);
    let greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice();
    let form = |app: &TestApp| {
        let (kind, key) = ("content-type: application/x-www-form-urlencoded", &app.api_key);
        format!(
            "POST /oauth2/introspect HTTP/1.1\r\nhost: a\r\n{kind}\r\nx-api-key: {key}\r\ncontent-length: 9\r\n\r\nt"
        )
    };
    let said = |app: &TestApp| {
        [
            (Vec::new(), ""),
            (greeting[..3].to_vec(), ""),
            (greeting.to_vec(), ""),
            // `GET /`, and no answer to the question whether somebody is there.
            ([greeting, b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84"].concat(), ""),
            (b"GET /healthz HTTP/1.1\r\nhost".to_vec(), ""),
            (b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(), "HTTP/1.1 200"),
            (form(app).into_bytes(), "HTTP/1.1 408"),
        ]
    };
    let mut silent: Vec<(Box<dyn AsyncRead + Send + Unpin>, _, _)> = Vec::new();
    let began = Instant::now();
    for (said, answer) in said(&secured.app) {
        let mut stream = shake_hands(&secured, secured.app.node().http, &rustls::version::TLS13).await.unwrap();
        stream.write_all(&said).await.unwrap();
        stream.flush().await.unwrap();
        silent.push((Box::new(stream), said, answer));
    }
    for _ in 0..figure(700, 20) {
        for (said, answer) in said(&open) {
            let mut stream = TcpStream::connect(open.node().http).await.unwrap();
            stream.write_all(&said).await.unwrap();
            silent.push((Box::new(stream), said, answer));
        }
    }
    let count = silent.len();
    for (mut stream, said, expected) in silent {
        let mut answer = Vec::new();
        let read = tokio::time::timeout_at((began + PATIENCE).into(), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "it stays open after {:?}", String::from_utf8_lossy(&said));
        assert!(answer.starts_with(expected.as_bytes()), "{:?}", String::from_utf8_lossy(&answer));
    }
    let closed = began.elapsed();
    eprintln!("N4: {count} silent connections to the HTTP port, all closed after {closed:?}");
    assert!(closed < PATIENCE);
    open.stop().await;
    secured.app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_certificates_are_taken_up_and_bad_ones_are_not() {
    let secured = Secured::new(Backend::Embedded, &[]).await;
    let open = secured.connect(None).await.unwrap();
    let shown = async || get(&secured, &rustls::version::TLS13).await.unwrap().2;
    let first = shown().await;
    let renewed = secured.authority.certify(&["localhost"]);
    // Half of the pair is written: the two do not fit together, and what was in use stays in use.
    std::fs::write(secured.folder.path().join("tls.crt"), &renewed.certificate).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(shown().await, first);
    std::fs::write(secured.folder.path().join("tls.key"), &renewed.key).unwrap();
    let expected = CertificateDer::from_pem_slice(renewed.certificate.as_bytes()).unwrap();
    let began = Instant::now();
    while shown().await != expected {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not in use");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(secured.folder.path().join("tls.crt"), "nothing of the kind").unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(shown().await, expected);
    // Connections from before go on.
    TokenServiceClient::new(open).get_jwks(v1::GetJwksRequest::default()).await.unwrap();
    // So do authorities.
    let other = Authority::new();
    std::fs::write(secured.folder.path().join("tls.crt"), &renewed.certificate).unwrap();
    std::fs::write(secured.folder.path().join("ca.crt"), &other.pem).unwrap();
    let known = other.certify(&["anybody.internal"]);
    let began = Instant::now();
    loop {
        if let Ok(channel) = secured.connect(Some(&known)).await
            && TokenServiceClient::new(channel).get_jwks(v1::GetJwksRequest::default()).await.is_ok()
        {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "the new authority is not believed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    secured.app.stop().await;
}

/// N4: whoever says nothing is closed in time, and keeps nobody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n4_silent_handshakes_keep_nobody_waiting() {
    let secured = Secured::new(Backend::Embedded, &[]).await;
    let count = figure(5_000, 200);
    let mut silent = Vec::new();
    let began = Instant::now();
    for number in 0..count {
        let address = if number % 2 == 0 { secured.app.node().grpc } else { secured.app.node().http };
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let asked = Instant::now();
    let channel = secured.connect(None).await.unwrap();
    TokenServiceClient::new(channel).get_jwks(v1::GetJwksRequest::default()).await.unwrap();
    get(&secured, &rustls::version::TLS13).await.unwrap();
    let answered = asked.elapsed();
    for mut stream in silent {
        let mut nothing = [0; 16];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut nothing)).await;
        assert!(matches!(read.expect("a silent connection stays open"), Ok(0) | Err(_)));
    }
    let closed = began.elapsed();
    eprintln!("N4: {count} silent connections; others answered in {answered:?}, all closed after {closed:?}");
    assert!(answered < Duration::from_secs(5) && closed < PATIENCE);
    secured.app.stop().await;
}

#[test]
fn a_server_with_tls_is_asked_for_its_health() {
    let authority = Authority::new();
    let place = Place::new();
    let (certificate, key) = authority.certify(&["auth.example"]).write(place.folder.path());
    let place =
        place.with("TLS__CERTIFICATE_FILE", certificate.to_str().unwrap()).with("TLS__KEY_FILE", key.to_str().unwrap());
    let server = place.serve();
    let address = server.grpc().to_string();
    let shown = certificate.to_str().unwrap();
    place.run(&["healthcheck", "--address", &address, "--certificate", shown]).works();
    place.run(&["healthcheck", "--address", &address]).fails();
    let other = tempfile::tempdir().unwrap();
    let (other, _) = authority.certify(&["auth.example"]).write(other.path());
    place.run(&["healthcheck", "--address", &address, "--certificate", other.to_str().unwrap()]).fails();
}
