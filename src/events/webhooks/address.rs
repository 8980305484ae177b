//! Where events may be posted to. Whoever may set an endpoint up must not be able to make this service knock at doors inside
//! its own network: an address is judged when the endpoint is set up, and again each time a connection is made, after the name
//! has been resolved (a name can lead elsewhere by then).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// No URL that makes sense is longer.
const LONGEST: usize = 2048;

/// Which addresses may be posted to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Whether nothing may travel in plain text, but to this machine.
    pub(super) needs_tls: bool,
    /// Whether addresses count that only mean something within a network.
    pub(super) allows_private: bool,
}

/// Where an endpoint of others is: a URL that may be posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a text is no such URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWebhookUrl {
    /// It is none, or none for HTTP.
    #[error("must be a URL that begins with https:// or http://, of at most {LONGEST} bytes")]
    Malformed,
    /// It has a user, a password or a fragment.
    #[error("must not have a user, a password or a fragment")]
    Adorned,
    /// It would be asked in plain text.
    #[error("must begin with https:// in production, unless it leads to the same machine")]
    PlainText,
    /// It leads to an address that only means something within a network.
    #[error("leads to a private address; events.webhooks.allow_private_networks allows that")]
    Private,
}

impl Reach {
    /// Reads a URL and judges it as far as that is possible before its name is resolved.
    pub(super) fn url(self, text: &str) -> Result<WebhookUrl, InvalidWebhookUrl> {
        let url = Some(text).filter(|text| text.len() <= LONGEST).and_then(|text| text.parse::<Url>().ok());
        let url = url.filter(|url| matches!(url.scheme(), "https" | "http")).ok_or(InvalidWebhookUrl::Malformed)?;
        let host = url.host_str().ok_or(InvalidWebhookUrl::Malformed)?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err(InvalidWebhookUrl::Adorned);
        }
        // The parser has put numbers in all their spellings into the usual one.
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_this_machine = is_localhost(host) || address.is_some_and(|address| address.to_canonical().is_loopback());
        if self.needs_tls && url.scheme() == "http" && !is_this_machine {
            return Err(InvalidWebhookUrl::PlainText);
        }
        if is_this_machine && !self.allows_private || address.is_some_and(|address| !self.admits(address)) {
            return Err(InvalidWebhookUrl::Private);
        }
        Ok(WebhookUrl(url))
    }

    fn admits(self, address: IpAddr) -> bool {
        self.allows_private || is_public(address)
    }
}

fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

impl WebhookUrl {
    pub(super) fn as_url(&self) -> &Url {
        &self.0
    }

    /// In its one spelling.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether an address is one of the Internet's, and means the same everywhere (the IANA registries of special-purpose
/// addresses). What carries an IPv4 address inside is judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = a == 0
        || a >= 224
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113);
    !(is_special || address.is_loopback() || address.is_private() || address.is_link_local())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let [first, second, third, ..] = address.segments();
    let [.., a, b, c, d] = address.octets();
    match first {
        // NAT64, by which networks without IPv4 reach it (RFC 6052).
        0x64 => address.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] && is_public_v4(Ipv4Addr::new(a, b, c, d)),
        // 6to4.
        0x2002 => {
            let ([a, b], [c, d]) = (second.to_be_bytes(), third.to_be_bytes());
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        // Teredo, benchmarks, ORCHID and the like; documentation.
        0x2001 => second >= 0x200 && second != 0xdb8,
        0x3fff => second >= 0x1000,
        // Nothing else is in use.
        _ => first & 0xe000 == 0x2000,
    }
}

/// A name that leads to private addresses only.
#[derive(Debug)]
pub(super) struct PrivateOnly;

impl fmt::Display for PrivateOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("leads to private addresses only")
    }
}

impl std::error::Error for PrivateOnly {}

impl Resolve for Reach {
    /// Only what may be posted to. The connection goes to one of exactly these: the name is not asked again.
    fn resolve(&self, name: Name) -> Resolving {
        let reach = *self;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let admitted: Vec<SocketAddr> = found.filter(|address| reach.admits(address.ip())).collect();
            if admitted.is_empty() {
                return Err(PrivateOnly.into());
            }
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCTION: Reach = Reach { needs_tls: true, allows_private: false };

    #[test]
    fn what_only_means_something_within_a_network_is_not_public() {
        let private = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::10.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:a00:1::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        for text in private {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "223.255.255.255",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
            "2002:101:101::1",
            "2001:4860:4860::8888",
            "2606:4700::1",
            "2a00::1",
        ];
        for text in public {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn numbers_in_other_spellings_are_addresses_too() {
        let private = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://localhost/",
            "https://localhost./",
            "https://a.localhost/",
            "https://LOCALHOST/",
            "https://10.1.2.3:8443/x",
            "https://169.254.169.254/latest/meta-data",
            "https://\u{ff11}\u{ff10}.0.0.1/",
            "http://127.0.0.1/",
        ];
        for url in private {
            assert_eq!(PRODUCTION.url(url).unwrap_err(), InvalidWebhookUrl::Private, "{url}");
            assert!(Reach { allows_private: true, ..PRODUCTION }.url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn production_posts_in_plain_text_to_its_own_machine_only() {
        let inside = Reach { allows_private: true, ..PRODUCTION };
        for url in
            ["http://example.com/", "http://10.0.0.1/", "http://127.0.0.1.example.com/", "http://localhost.example/"]
        {
            assert_eq!(inside.url(url).unwrap_err(), InvalidWebhookUrl::PlainText, "{url}");
            assert!(Reach { needs_tls: false, ..inside }.url(url).is_ok(), "{url}");
        }
        for url in ["https://example.com/a?b=c", "https://example.com:8443", "http://localhost:9/", "http://[::1]/"] {
            assert!(inside.url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_no_plain_url_is_refused() {
        let long = format!("https://example.com/{}", "a".repeat(LONGEST));
        for url in ["", "example.com", "/x", "ftp://example.com", "https://", "https:// a", "file:///etc/passwd", &long]
        {
            assert_eq!(PRODUCTION.url(url).unwrap_err(), InvalidWebhookUrl::Malformed, "{url}");
        }
        for url in
            ["https://a@example.com/", "https://a:b@example.com/", "https://:b@example.com", "https://example.com/#x"]
        {
            assert_eq!(PRODUCTION.url(url).unwrap_err(), InvalidWebhookUrl::Adorned, "{url}");
        }
        assert_eq!(PRODUCTION.url("https://EXAMPLE.com:443").unwrap().as_str(), "https://example.com/");
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_leads_nowhere() {
        let outside = PRODUCTION.resolve("localhost".parse().unwrap()).await;
        assert!(outside.err().unwrap().downcast_ref::<PrivateOnly>().is_some());
        let inside = Reach { allows_private: true, ..PRODUCTION }.resolve("localhost".parse().unwrap()).await;
        assert!(inside.unwrap().all(|address| address.ip().is_loopback()));
    }
}
