//! `[web]`: what browsers may do without a backend or gateway between.

use http::Uri;

use super::source::Settings;

section! {
    /// `[web]`
    Web {
        grpc_web: bool,
        allowed_origins: Vec<String>,
        allow_credentials: bool,
    }
}

pub(super) fn read(s: &mut Settings) -> Web {
    let allowed_origins = s.list("web.allowed_origins");
    for origin in &allowed_origins {
        if !is_origin(origin) {
            let fault = format!("`{origin}` must be as browsers write it, such as https://app.example.com or …:8443");
            s.fault("web.allowed_origins", fault);
        }
    }
    Web { grpc_web: s.flag("web.grpc_web"), allowed_origins, allow_credentials: s.flag("web.allow_credentials") }
}

/// Whether a text is an origin as browsers write it (RFC 6454 §6.2): a scheme and a host in lower case, a port that is not the
/// scheme's own, and nothing else. Neither `*` nor `null` is one.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let (own_port, host) = (if scheme == "https" { 443 } else { 80 }, authority.host());
    let written = match authority.port_u16() {
        Some(port) if port == own_port => return false,
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    ["http", "https"].contains(&scheme)
        && text == written
        && !text.contains('*')
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for good in
            ["https://app.example.com", "http://127.0.0.1:3000", "https://app.example.com:8443", "http://[::1]:8080"]
        {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "*",
            "null",
            "",
            "https://*.example.com",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "app.example.com",
            "https://a@b.example",
            "file://x",
            "http://[::1]:80801",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
