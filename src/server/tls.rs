//! TLS on both ports: certificates from files, read again when they change, and the names that clients' certificates give.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::digest::{Context, SHA256};
use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, info, warn};
use webpki::EndEntityCert;

use super::validity::not_after;
use crate::config;
use crate::model::CertificateName;
use crate::shutdown::Nudge;

/// How long a client may take over its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How many names of a certificate are looked at.
const MOST_NAMES: usize = 16;
/// The longest time in seconds that a connection is told its client's certificate is good for: longer than any lives.
const MOST_LEFT: u64 = 365 * 24 * 60 * 60;

/// Why the ports cannot speak TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting} ({path}) cannot be read: {cause}", path = .path.display())]
    Unreadable {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting} ({path}) {fault}", path = .path.display())]
    Malformed {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The files do not fit together.
    #[error("the certificate, its key and the authorities do not fit together: {0}")]
    Unfit(String),
}

/// What the files hold. It is not to be printed: one of them is the key.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// The settings of TLS on both ports, as they are now.
#[derive(Debug)]
pub(super) struct Tls {
    settings: config::Tls,
    /// Whether gRPC is served over HTTP/1.1 as well, as gRPC-Web.
    web: bool,
    grpc: ArcSwap<ServerConfig>,
    http: ArcSwap<ServerConfig>,
    /// The hash of what the files held when they were last taken up.
    seen: ArcSwap<[u8; 32]>,
}

/// One of the two ports.
#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Grpc,
    Http,
}

impl Tls {
    /// Reads the files.
    pub(super) fn open(settings: &config::Tls, web: bool) -> Result<Self, TlsError> {
        let files = Files::read(settings)?;
        let (grpc, http) = configs(settings, web, &files)?;
        Ok(Self {
            settings: settings.clone(),
            web,
            grpc: ArcSwap::from_pointee(grpc),
            http: ArcSwap::from_pointee(http),
            seen: ArcSwap::from_pointee(files.digest()),
        })
    }

    /// Looks again and again whether the files have changed, and at once where somebody says so.
    pub(super) async fn follow_files(self: Arc<Self>, nudge: Nudge) {
        let every = self.settings.reload_every.to_std().unwrap_or(Duration::from_secs(10));
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_sound = true;
        let mut nudged = nudge.listen();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = nudged.given() => {}
            }
            let tls = Arc::clone(&self);
            // Files may lie on a disk that takes its time.
            let outcome = tokio::task::spawn_blocking(move || tls.reload()).await;
            match outcome {
                Ok(Ok(false)) => is_sound = true,
                Ok(Ok(true)) => {
                    is_sound = true;
                    info!("new certificates are in use");
                }
                Ok(Err(cause)) if is_sound => {
                    is_sound = false;
                    warn!(%cause, "the certificates cannot be renewed; those in use stay in use");
                }
                Ok(Err(_)) => {}
                Err(cause) => warn!(%cause, "the certificates could not be looked at"),
            }
        }
    }

    /// Takes up what has changed. A half-written pair of files fits not together, and is looked at again the next time.
    fn reload(&self) -> Result<bool, TlsError> {
        let files = Files::read(&self.settings)?;
        let digest = files.digest();
        if **self.seen.load() == digest {
            return Ok(false);
        }
        let (grpc, http) = configs(&self.settings, self.web, &files)?;
        self.grpc.store(Arc::new(grpc));
        self.http.store(Arc::new(http));
        self.seen.store(Arc::new(digest));
        Ok(true)
    }

    /// Shakes hands with a client, or gives up on it.
    pub(super) async fn accept(&self, port: Port, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let config = match port {
            Port::Grpc => self.grpc.load_full(),
            Port::Http => self.http.load_full(),
        };
        match timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => Some(stream),
            // Whoever comes without TLS, or with a certificate that nobody vouches for: their fault, and no news.
            Ok(Err(cause)) => {
                debug!(%cause, "a handshake failed");
                None
            }
            Err(_) => {
                debug!("a handshake took too long");
                None
            }
        }
    }
}

/// The names in the certificate of a client that has one. It was verified in the handshake.
pub(super) fn client_names(connection: &ServerConnection) -> Arc<[CertificateName]> {
    let Some([own, ..]) = connection.peer_certificates() else { return Arc::default() };
    let Ok(own) = EndEntityCert::try_from(own) else { return Arc::default() };
    let uris = own.valid_uri_names().filter_map(CertificateName::uri);
    let hosts = own.valid_dns_names().filter_map(CertificateName::dns);
    uris.chain(hosts).take(MOST_NAMES).collect()
}

/// How much longer a client's certificate is good, with all that it came with.
pub(super) fn client_expiry(connection: &ServerConnection) -> Option<Duration> {
    let now = UnixTime::now().as_secs();
    let ends = connection.peer_certificates()?.iter().filter_map(|certificate| not_after(certificate));
    let left = ends.map(|end| u64::try_from(end.timestamp()).unwrap_or_default().saturating_sub(now));
    // What had expired before was not what it was believed by.
    let left = left.filter(|left| *left > 0).min()?;
    Some(Duration::from_secs(left.min(MOST_LEFT)))
}

impl Files {
    fn read(settings: &config::Tls) -> Result<Self, TlsError> {
        let read = |setting, path: &Path| {
            fs::read(path).map_err(|cause| TlsError::Unreadable { setting, path: path.to_owned(), cause })
        };
        Ok(Self {
            certificate: read("tls.certificate_file", &settings.certificate_file)?,
            key: read("tls.key_file", &settings.key_file)?,
            client_ca: settings.client_ca_file.as_deref().map(|path| read("tls.client_ca_file", path)).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        for file in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()] {
            let file = file.map(Vec::as_slice).unwrap_or_default();
            context.update(&(file.len() as u64).to_be_bytes());
            context.update(file);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

fn certificates(setting: &'static str, path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |fault| TlsError::Malformed { setting, path: path.to_owned(), fault };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(malformed("holds no certificate in PEM")),
        Err(_) => Err(malformed("is not sound PEM")),
    }
}

/// The configurations of the two ports.
fn configs(settings: &config::Tls, web: bool, files: &Files) -> Result<(ServerConfig, ServerConfig), TlsError> {
    let chain = certificates("tls.certificate_file", &settings.certificate_file, &files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|_| TlsError::Malformed {
        setting: "tls.key_file",
        path: settings.key_file.clone(),
        fault: "holds no private key in PEM",
    })?;
    let authorities = match (&settings.client_ca_file, &files.client_ca) {
        (Some(path), Some(pem)) => Some(authorities(path, pem)?),
        _ => None,
    };
    let config = |required, protocols: &[&[u8]]| {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| TlsError::Unfit(error.to_string()))?;
        let builder = match &authorities {
            Some(authorities) => {
                builder.with_client_cert_verifier(verifier(Arc::clone(authorities), provider, required)?)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| TlsError::Unfit(error.to_string()))?;
        if authorities.is_some() {
            // A session that is taken up again brings its certificate along, however long ago that was looked at.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    };
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let grpc = config(settings.require_client_certificate, if web { both } else { &[b"h2"] })?;
    // Probes and those who fetch keys come to the HTTP port without a certificate.
    Ok((grpc, config(false, both)?))
}

fn authorities(path: &Path, pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("tls.client_ca_file", path, pem)? {
        store.add(certificate).map_err(|_| TlsError::Malformed {
            setting: "tls.client_ca_file",
            path: path.to_owned(),
            fault: "holds a certificate that cannot be an authority",
        })?;
    }
    Ok(Arc::new(store))
}

fn verifier(
    authorities: Arc<RootCertStore>,
    provider: Arc<rustls::crypto::CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(authorities, provider);
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| TlsError::Unfit(error.to_string()))
}
