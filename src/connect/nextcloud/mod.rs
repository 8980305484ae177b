//! A Nextcloud, asked as one of its administrators to keep users: through its provisioning API (`ocs`), and through WebDAV for
//! folders. Owns how it is asked and what its answers say; who is to have a user is for `events` to know.
//!
//! WebDAV acts as whoever signs in, and no administrator can be somebody else there. A folder is therefore made with the
//! user's own password, which whoever creates the user knows.

mod fault;
mod ocs;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use form_urlencoded::Serializer;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Certificate, Method, Url};
use serde::Deserialize;

pub use self::fault::{CloudError, CloudTrouble};
use self::ocs::{Said, Scope};
use super::exchange::{Answer, Exchange, Lost};
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::config;
use crate::secret::Secret;

/// Without it Nextcloud takes a call for one that a web page has smuggled in.
const API_REQUEST: HeaderName = HeaderName::from_static("ocs-apirequest");
/// The longest that a Nextcloud's own wish to be left alone is heeded.
const LONGEST_REST: TimeDelta = TimeDelta::minutes(10);

/// The Nextcloud of this installation. Clones share what they know of it.
#[derive(Clone, Debug)]
pub struct Nextcloud(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    settings: config::Nextcloud,
    clock: Clock,
    breaker: Breaker,
    /// Since when, and for how long, it has asked to be left alone.
    rest: Mutex<Option<(DateTime<Utc>, TimeDelta)>>,
    /// Made when it is first needed: a certificate that cannot be read is no reason for this service not to start.
    exchange: Mutex<Option<Exchange>>,
}

/// What Nextcloud knows of a user, as far as it matters here.
#[derive(Clone, Deserialize, PartialEq, Eq)]
pub struct CloudUser {
    /// Whether it may be used, where that is told.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// When somebody last signed in as this user, in milliseconds; 0 if nobody ever did.
    #[serde(default, rename = "lastLogin")]
    last_login: i64,
    /// What others see.
    #[serde(default, rename = "displayname")]
    display_name: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

// Names and addresses of people do not print.
impl std::fmt::Debug for CloudUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudUser").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl CloudUser {
    /// Whether anybody has ever signed in as this user, be it to make the folder.
    #[must_use]
    pub const fn was_used(&self) -> bool {
        self.last_login > 0
    }

    /// What a field holds.
    #[must_use]
    pub fn value(&self, field: Field) -> &str {
        match field {
            Field::DisplayName => self.display_name.as_deref().unwrap_or_default(),
            Field::Email => self.email.as_deref().unwrap_or_default(),
        }
    }

    /// Whether it is in a group.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// A user to be created. What is empty is not told.
pub struct NewCloudUser<'a> {
    /// Its identifier.
    pub id: &'a str,
    /// Its password.
    pub password: &'a Secret<String>,
    /// What others see.
    pub display_name: &'a str,
    /// Its mail address.
    pub email: &'a str,
}

/// How a creation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// There is a new user.
    Created,
    /// There was one already.
    Existed,
}

/// What became of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// It is there.
    There,
    /// The password is not, or not enough, to act as this user.
    Locked,
}

/// What can be changed of a user who exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// What others see.
    DisplayName,
    /// The mail address.
    Email,
}

impl Field {
    const fn key(self) -> &'static str {
        match self {
            Self::DisplayName => "displayname",
            Self::Email => "email",
        }
    }
}

impl Nextcloud {
    /// The one that is configured. It is not asked anything yet.
    #[must_use]
    pub fn new(settings: config::Nextcloud, clock: Clock) -> Self {
        let breaker = Breaker::new(clock.clone(), settings.failures, settings.open_for);
        let (rest, exchange) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Shared { settings, clock, breaker, rest, exchange }))
    }

    /// Finds a user.
    ///
    /// That there is none is believed only of a Nextcloud that has users: an API that is switched off says the same of
    /// everybody, and whoever is to be shut out would stay in.
    pub async fn user(&self, id: &str) -> Result<Option<CloudUser>, CloudError> {
        match self.call(Method::GET, &["users", id], &[], Scope::Everybody).await? {
            Said::Done(user) => serde_json::from_value(user).map(Some).map_err(|_| not_understood(200)),
            Said::NotFound => {
                let listed = self.call(Method::GET, &["users"], &[("limit", "1")], Scope::Everybody).await?;
                match listed {
                    Said::Done(list) if list["users"].is_array() => Ok(None),
                    _ => Err(CloudError::away("does not list users: is its app provisioning_api enabled?", None)),
                }
            }
            Said::Code(code) => Err(not_understood(code)),
        }
    }

    /// Creates a user, with the quota and in the groups that are configured.
    pub async fn create(&self, new: &NewCloudUser<'_>) -> Result<Creation, CloudError> {
        let settings = &self.0.settings;
        let mut form = vec![("userid", new.id), ("password", new.password.expose())];
        let optional = [("displayName", new.display_name), ("email", new.email), ("quota", &settings.quota)];
        form.extend(optional.into_iter().filter(|(_, value)| !value.is_empty()));
        form.extend(settings.groups.iter().map(|group| ("groups[]", group.as_str())));
        let refused = |what, code| Err(CloudError::refused(what, code));
        match self.call(Method::POST, &["users"], &form, Scope::Everybody).await? {
            Said::Done(_) => Ok(Creation::Created),
            Said::Code(102) => Ok(Creation::Existed),
            Said::NotFound => Err(CloudError::away("creates no users: is its app provisioning_api enabled?", None)),
            Said::Code(code @ 101) => refused("takes something about the new user for wrong", code),
            Said::Code(code @ 104) => refused("has not all the groups of nextcloud.groups", code),
            Said::Code(code @ (105 | 106)) => refused("does not let this service put users into their groups", code),
            Said::Code(code @ 107) => refused("has rules that the new user or its password does not meet", code),
            Said::Code(code @ (108 | 110)) => {
                refused("wants a mail address for each user: see nextcloud.send_email", code)
            }
            Said::Code(code) => refused("has not created the user", code),
        }
    }

    /// Lets a user in, or shuts it out. Tells whether there is one.
    pub async fn set_enabled(&self, id: &str, enabled: bool) -> Result<bool, CloudError> {
        let verb = if enabled { "enable" } else { "disable" };
        self.change(Method::PUT, &["users", id, verb], &[]).await
    }

    /// Deletes a user and all that it has stored. Tells whether there was one.
    pub async fn delete(&self, id: &str) -> Result<bool, CloudError> {
        self.change(Method::DELETE, &["users", id], &[]).await
    }

    /// Gives a field another value. Nextcloud bounds how often that is done, for all users together; it must not keep what
    /// else is asked of it from being done, so that a bound is told as a refusal.
    pub async fn set(&self, id: &str, field: Field, value: &str) -> Result<bool, CloudError> {
        let form = [("key", field.key()), ("value", value)];
        self.change(Method::PUT, &["users", id], &form).await
    }

    /// Sets the quota that is configured for new users.
    pub async fn set_quota(&self, id: &str) -> Result<bool, CloudError> {
        let form = [("key", "quota"), ("value", self.0.settings.quota.as_str())];
        self.change(Method::PUT, &["users", id], &form).await
    }

    /// Puts a user into a group.
    pub async fn join(&self, id: &str, group: &str) -> Result<bool, CloudError> {
        self.change(Method::POST, &["users", id, "groups"], &[("groupid", group)]).await
    }

    /// Makes a folder of a user's, as this user, with each of those that lie around it.
    pub async fn make_folder(
        &self,
        id: &str,
        password: &Secret<String>,
        names: &[String],
    ) -> Result<Folder, CloudError> {
        let mut path = vec!["remote.php", "dav", "files", id];
        for name in names {
            path.push(name);
            let request = Request { user: id, password, method: mkcol(), path: &path, form: &[], is_ocs: false };
            let made = self.ask(&request, |answer| match answer.status {
                // It is new, or there is something of that name already (RFC 4918 §9.3.1).
                201 | 405 => Ok(Folder::There),
                401 => Ok(Folder::Locked),
                status => Err(CloudError::of_status(status)
                    .unwrap_or_else(|| CloudError::refused("has not made the user's folder", i64::from(status)))
                    .until(answer.retry_after)),
            });
            if made.await? == Folder::Locked {
                return Ok(Folder::Locked);
            }
        }
        Ok(Folder::There)
    }

    /// Changes something about a user. Tells whether there is one.
    async fn change(&self, method: Method, below: &[&str], form: &[(&str, &str)]) -> Result<bool, CloudError> {
        let is_edit = !form.is_empty();
        match self.call(method, below, form, Scope::User).await {
            Ok(Said::Done(_)) => Ok(true),
            Ok(Said::NotFound) => Ok(false),
            Ok(Said::Code(code)) => Err(CloudError::refused("has not changed the user", code)),
            Err(CloudError::Away { trouble, .. }) if is_edit && trouble.is_limit() => Err(CloudError::Refused(trouble)),
            Err(error) => Err(error),
        }
    }

    /// One call of the API for users, as the administrator.
    async fn call(
        &self,
        method: Method,
        below: &[&str],
        form: &[(&str, &str)],
        scope: Scope,
    ) -> Result<Said, CloudError> {
        let settings = &self.0.settings;
        let path: Vec<_> = ["ocs", "v2.php", "cloud"].iter().chain(below).copied().collect();
        let (user, password) = (settings.username.as_str(), &settings.password);
        let request = Request { user, password, method, path: &path, form, is_ocs: true };
        self.ask(&request, |answer| ocs::read(answer, scope)).await
    }

    /// Asks, unless it is to be left alone, and minds what the answer says of the whole.
    async fn ask<T>(
        &self,
        request: &Request<'_>,
        read: impl Fn(&Answer) -> Result<T, CloudError>,
    ) -> Result<T, CloudError> {
        if self.is_resting() {
            return Err(CloudError::away("has asked to be left alone for a while", None));
        }
        let permit = self.0.breaker.admit();
        let permit = permit.map_err(|_| CloudError::away("keeps failing and is left alone for a while", None))?;
        let outcome = match self.answer(request).await {
            Ok(answer) => read(&answer),
            Err(error) => Err(error),
        };
        match outcome {
            Err(CloudError::Away { retry_after, .. }) => {
                permit.failed();
                if let Some(span) = retry_after {
                    self.rest_for(span.min(LONGEST_REST));
                }
            }
            Ok(_) | Err(CloudError::Refused(_)) => {
                permit.succeeded();
            }
        }
        outcome
    }

    async fn answer(&self, request: &Request<'_>) -> Result<Answer, CloudError> {
        let exchange = self.exchange()?;
        let url = self.url(request).ok_or(CloudError::away("has no address: check nextcloud.url", None))?;
        let (headers, body) = request.headers_and_body()?;
        let patience = self.0.settings.timeout.to_std().unwrap_or_default();
        let sent = exchange.send(request.method.clone(), url.as_str(), headers, body);
        Ok(tokio::time::timeout(patience, sent).await.unwrap_or(Err(Lost::Late))?)
    }

    fn url(&self, request: &Request<'_>) -> Option<Url> {
        let mut url = Url::parse(&self.0.settings.url).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend(request.path);
        if request.is_ocs {
            url.query_pairs_mut().append_pair("format", "json");
        }
        if request.method == Method::GET {
            url.query_pairs_mut().extend_pairs(request.form);
        }
        Some(url)
    }

    fn is_resting(&self) -> bool {
        let rest = *self.0.rest.lock();
        // A clock that was set back must not make it longer.
        rest.is_some_and(|(since, span)| (TimeDelta::zero()..span).contains(&(self.0.clock.now() - since)))
    }

    /// Leaves it alone for so long from now on, unless it has asked for longer before.
    fn rest_for(&self, span: TimeDelta) {
        let (now, mut rest) = (self.0.clock.now(), self.0.rest.lock());
        let is_longer = rest.is_none_or(|(since, before)| now < since || since + before < now + span);
        if is_longer {
            *rest = Some((now, span));
        }
    }

    fn exchange(&self) -> Result<Exchange, CloudError> {
        let mut kept = self.0.exchange.lock();
        if let Some(exchange) = kept.as_ref() {
            return Ok(exchange.clone());
        }
        let settings = &self.0.settings;
        let unfit = || CloudError::away("cannot be asked: nextcloud.ca_file is no file with certificates", None);
        let authorities = match settings.ca_file.as_str() {
            "" => Vec::new(),
            path => {
                let pem = std::fs::read(path).map_err(|_| unfit())?;
                let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| unfit())?;
                if authorities.is_empty() {
                    return Err(unfit());
                }
                authorities
            }
        };
        let patience = settings.timeout.to_std().unwrap_or_default();
        let exchange = Exchange::trusting(patience, &authorities).map_err(|_| unfit())?;
        Ok(kept.insert(exchange).clone())
    }
}

/// One question.
struct Request<'a> {
    user: &'a str,
    password: &'a Secret<String>,
    method: Method,
    path: &'a [&'a str],
    form: &'a [(&'a str, &'a str)],
    is_ocs: bool,
}

impl Request<'_> {
    fn headers_and_body(&self) -> Result<(HeaderMap, Vec<u8>), CloudError> {
        let mut headers = HeaderMap::new();
        let pair = Secret::new(format!("{}:{}", self.user, self.password.expose()));
        let basic = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair.expose())));
        let mut basic = basic.map_err(|_| CloudError::away("cannot be sent its password", None))?;
        basic.set_sensitive(true);
        headers.insert(AUTHORIZATION, basic);
        if !self.is_ocs {
            return Ok((headers, Vec::new()));
        }
        headers.insert(API_REQUEST, HeaderValue::from_static("true"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if self.form.is_empty() || self.method == Method::GET {
            return Ok((headers, Vec::new()));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let body = Serializer::new(String::new()).extend_pairs(self.form).finish();
        Ok((headers, body.into_bytes()))
    }
}

fn mkcol() -> Method {
    Method::from_bytes(b"MKCOL").unwrap_or_default()
}

const fn not_understood(code: i64) -> CloudError {
    CloudError::away("gave an answer that is not understood", Some(code))
}
