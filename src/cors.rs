//! Which web sites' pages may read answers (CORS) and act through people's cookies: an exact list, and nothing that is merely
//! reflected.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config;

/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED: &str = "7200";
/// What a page may send with a call, and read of its answer.
const SENT: &str = "authorization, content-type, grpc-timeout, x-grpc-web, x-request-id, x-user-agent";
const READ: &str = "grpc-message, grpc-status, grpc-status-details-bin, x-request-id";

/// The web sites that may.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    /// Whether their pages may send cookies along.
    credentials: bool,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Site {
    /// A program, or a page of the very site it asks.
    Nowhere,
    /// A page of a web site on the list.
    Listed(HeaderValue),
    /// A page of any other.
    Stranger,
}

impl Cors {
    /// The ones that are configured.
    #[must_use]
    pub fn new(web: &config::Web) -> Self {
        let origins = web.allowed_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Self { origins: origins.collect(), credentials: web.allow_credentials }
    }

    /// Whose page sends these headers.
    #[must_use]
    pub fn origin(&self, headers: &HeaderMap) -> Site {
        let mut sent = headers.get_all(ORIGIN).into_iter();
        match (sent.next(), sent.next()) {
            (None, _) => Site::Nowhere,
            (Some(origin), None) => match self.origins.iter().find(|listed| *listed == origin) {
                Some(listed) => Site::Listed(listed.clone()),
                None => Site::Stranger,
            },
            (Some(_), Some(_)) => Site::Stranger,
        }
    }

    /// Lets a page read an answer, if it may.
    pub fn admit(&self, site: &Site, answer: &mut HeaderMap) {
        if self.origins.is_empty() {
            return;
        }
        // What a cache keeps for one site is not for another.
        answer.append(VARY, HeaderValue::from_static("origin"));
        let Site::Listed(origin) = site else { return };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        if self.credentials {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Answers a page that asks what it may do before it does it.
    pub fn admit_beforehand(&self, site: &Site, answer: &mut HeaderMap) {
        self.admit(site, answer);
        if matches!(site, Site::Listed(_)) {
            answer.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(SENT));
            answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
        }
    }
}

/// Whether cookies count that come along with a request which names these origins. A browser sends them by itself, whosever page
/// it is that sends the request; but it names the page's site with all that could change something. What names none is a
/// program's, or a link that somebody follows.
#[must_use]
pub fn trusts_cookies<'o>(web: &config::Web, mut origins: impl Iterator<Item = &'o [u8]>) -> bool {
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => web.allowed_origins.iter().any(|listed| listed.as_bytes() == origin),
        (Some(_), Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(credentials: bool) -> Cors {
        let allowed_origins = vec!["https://app.example".to_owned()];
        Cors::new(&config::Web { grpc_web: true, allowed_origins, allow_credentials: credentials })
    }

    fn asked(origin: &str) -> HeaderMap {
        HeaderMap::from_iter([(ORIGIN, origin.parse().unwrap())])
    }

    #[test]
    fn only_what_is_listed_to_the_letter_is_admitted() {
        let cors = cors(true);
        let listed = cors.origin(&asked("https://app.example"));
        let mut answer = HeaderMap::new();
        cors.admit(&listed, &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        for other in ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "*", ""] {
            let stranger = cors.origin(&asked(other));
            assert_eq!(stranger, Site::Stranger, "{other}");
            let mut answer = HeaderMap::new();
            cors.admit_beforehand(&stranger, &mut answer);
            assert_eq!(answer, HeaderMap::from_iter([(VARY, HeaderValue::from_static("origin"))]));
        }
        let mut twice = asked("https://app.example");
        twice.append(ORIGIN, "https://app.example".parse().unwrap());
        assert_eq!(cors.origin(&twice), Site::Stranger);
        assert_eq!(cors.origin(&HeaderMap::new()), Site::Nowhere);
    }

    #[test]
    fn cookies_count_for_listed_sites_and_where_none_is_named() {
        let allowed_origins = vec!["https://app.example".to_owned()];
        let web = config::Web { grpc_web: false, allowed_origins, allow_credentials: false };
        let trusts = |origins: &[&str]| trusts_cookies(&web, origins.iter().map(|origin| origin.as_bytes()));
        assert!(trusts(&[]) && trusts(&["https://app.example"]));
        for other in ["https://other.example", "https://APP.example", "null", "", "https://app.example "] {
            assert!(!trusts(&[other]), "{other}");
        }
        assert!(!trusts(&["https://app.example", "https://app.example"]));
    }
}
