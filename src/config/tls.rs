//! `[tls]`: whether the ports speak TLS, and whose certificates are believed.

use std::path::PathBuf;

use chrono::TimeDelta;

use super::read::span;
use super::source::Settings;

section! {
    /// `[tls]`
    Tls {
        certificate_file: PathBuf,
        key_file: PathBuf,
        client_ca_file: Option<PathBuf>,
        require_client_certificate: bool,
        reload_every: TimeDelta,
    }
}

/// The outer option tells whether the settings are sound, the inner one whether there is to be TLS.
#[expect(clippy::option_option, reason = "absent and wrong are different things")]
pub(super) fn read(s: &mut Settings) -> Option<Option<Tls>> {
    let reload_every = span(s, "tls.reload_every", "1s", "1d");
    let require_client_certificate = s.flag("tls.require_client_certificate");
    let file = |s: &mut Settings, name: &str| Some(s.text(name).to_owned()).filter(|path| !path.is_empty());
    let certificate = file(s, "tls.certificate_file");
    let key = file(s, "tls.key_file");
    let client_ca_file = file(s, "tls.client_ca_file").map(PathBuf::from);
    let reload_every = reload_every?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            if require_client_certificate && client_ca_file.is_none() {
                let fault = "needs tls.client_ca_file: without it no certificate would be believed";
                s.fault("tls.require_client_certificate", fault.to_owned());
                return None;
            }
            Some(Some(Tls {
                certificate_file: certificate.into(),
                key_file: key.into(),
                client_ca_file,
                require_client_certificate,
                reload_every,
            }))
        }
        (None, None) if client_ca_file.is_none() && !require_client_certificate => Some(None),
        (certificate, _) => {
            let missing = if certificate.is_none() { "tls.certificate_file" } else { "tls.key_file" };
            s.fault(missing, "must be set where any other file of [tls] is".to_owned());
            None
        }
    }
}
