//! Whom a connection to Redis trusts: the system's authorities, and those in a file.

use fred::rustls::pki_types::CertificateDer;
use fred::rustls::pki_types::pem::PemObject;
use fred::rustls::{ClientConfig, RootCertStore};
use fred::rustls_native_certs::load_native_certs;
use fred::types::config::TlsConnector;

use super::CacheError;

/// What checks the certificate of whoever answers.
pub(super) fn connector(ca_file: &str) -> Result<TlsConnector, CacheError> {
    let told = |error: &dyn std::fmt::Display| CacheError::Certificates(error.to_string());
    let mut roots = RootCertStore::empty();
    // What cannot be read of the system's own is missing, and no more.
    roots.add_parsable_certificates(load_native_certs().certs);
    if !ca_file.is_empty() {
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(ca_file).map_err(|error| told(&error))? {
            roots.add(certificate.map_err(|error| told(&error))?).map_err(|error| told(&error))?;
        }
        if roots.len() == before {
            return Err(CacheError::Certificates("the file holds none".to_owned()));
        }
    }
    Ok(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth().into())
}
