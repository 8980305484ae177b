//! What an access token says. Owns the claims, how they are written and strictly read, and the checks of RFC 7519 §4.1 and
//! RFC 9068 §4; whether the token was revoked is for others.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::compact::verify_compact;
use super::json;
use super::keyset::KeySet;
use super::rejection::Rejection;
use super::{AccountId, SessionId, TokenId};

/// The `typ` of access tokens (RFC 9068 §2.1).
pub const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// The most that clocks are allowed to differ by.
pub const MAX_LEEWAY_SECONDS: u8 = 5;
/// The last second of the year 9999, past which no calendar here goes.
const LAST_SECOND: i64 = 253_402_300_799;

/// The claims that every access token has a place for. A claim of one's own cannot have such a name, but for [`USERNAME`].
pub const RESERVED_CLAIMS: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "iat",
    "nbf",
    "jti",
    "sid",
    "client_id",
    "scope",
    "roles",
    "amr",
    "auth_time",
    "anon",
    "device_id",
    "username",
];
/// The one of them that has no source of its own.
pub const USERNAME: &str = "username";

/// What an access token says. Times are whole seconds since the epoch. Empty texts and lists stand for absent claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is about.
    pub sub: AccountId,
    /// Whom it is meant for; there is at least one.
    pub aud: Vec<String>,
    /// From when on it is worthless.
    pub exp: i64,
    /// When it was issued.
    pub iat: i64,
    /// Before when it is worthless.
    pub nbf: i64,
    /// Which token it is.
    pub jti: TokenId,
    /// The session it belongs to.
    pub sid: Option<SessionId>,
    /// The application that it was issued to.
    pub client_id: String,
    /// What it is good for, with spaces between (RFC 6749 §3.3).
    pub scope: String,
    /// The account's roles when it was issued.
    pub roles: Vec<String>,
    /// How the person proved themself (RFC 8176).
    pub amr: Vec<String>,
    /// When the person proved themself.
    pub auth_time: Option<i64>,
    /// Whether it is about a visitor without an account.
    pub anon: bool,
    /// The device, as the app names it.
    pub device_id: Option<String>,
    /// The account's name.
    pub username: Option<String>,
    /// All other claims.
    pub extra: Map<String, Value>,
}

/// What a token must be to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'e> {
    /// Who must have issued it.
    pub issuer: &'e str,
    /// Whom it must be meant for, or nobody in particular.
    pub audience: Option<&'e str>,
    /// By how much clocks may differ; more than [`MAX_LEEWAY_SECONDS`] counts as that.
    pub leeway_seconds: u8,
}

/// Reads an access token that one of `keys` has signed, and tells which. Its times, issuer and audience are for
/// [`AccessClaims::check`].
pub fn read_access_token(jws: &str, keys: &KeySet) -> Result<(String, AccessClaims), Rejection> {
    let verified = verify_compact(jws, keys)?;
    if !verified.typ.as_deref().is_some_and(is_access_token_type) {
        return Err(Rejection::WrongType);
    }
    AccessClaims::from_json(&verified.payload).map(|claims| (verified.kid, claims))
}

/// RFC 9068 §4 wants `at+jwt` or `application/at+jwt`. Both are taken, in any case, because they are one media type
/// (RFC 7515 §4.1.9, RFC 2045 §5.1): no other kind of token has a name that differs from it by case or prefix alone.
fn is_access_token_type(typ: &str) -> bool {
    let prefix = "application/";
    let (start, rest) = typ.split_at_checked(prefix.len()).unwrap_or_default();
    let subtype = if start.eq_ignore_ascii_case(prefix) { rest } else { typ };
    subtype.eq_ignore_ascii_case(ACCESS_TOKEN_TYPE)
}

impl AccessClaims {
    /// Adds a custom claim, where its value is fit for it.
    pub fn set(&mut self, name: &str, value: Value) -> bool {
        if name == USERNAME {
            self.username = non_empty(value);
            return self.username.is_some();
        }
        self.extra.insert(name.to_owned(), value);
        true
    }

    /// Takes a custom claim away.
    pub fn unset(&mut self, name: &str) {
        if name == USERNAME {
            self.username = None;
        } else {
            self.extra.remove(name);
        }
    }

    /// The payload of the token: short, because it travels with every request.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut claims = self.extra.clone();
        // A custom claim must not stand in for one that is left out, such as `anon`.
        claims.retain(|name, _| !RESERVED_CLAIMS.contains(&name.as_str()));
        let audience = if let [only] = self.aud.as_slice() { json!(only) } else { json!(self.aud) };
        let text = |text: &str| (!text.is_empty()).then(|| json!(text));
        let list = |list: &[String]| (!list.is_empty()).then(|| json!(list));
        let known = [
            ("iss", Some(json!(self.iss))),
            ("sub", Some(json!(self.sub))),
            ("aud", Some(audience)),
            ("exp", Some(json!(self.exp))),
            ("iat", Some(json!(self.iat))),
            ("nbf", Some(json!(self.nbf))),
            ("jti", Some(json!(self.jti))),
            ("sid", self.sid.map(|sid| json!(sid))),
            ("client_id", text(&self.client_id)),
            ("scope", text(&self.scope)),
            ("roles", list(&self.roles)),
            ("amr", list(&self.amr)),
            ("auth_time", self.auth_time.map(|time| json!(time))),
            ("anon", self.anon.then_some(Value::Bool(true))),
            ("device_id", self.device_id.as_deref().and_then(text)),
            ("username", self.username.as_deref().and_then(text)),
        ];
        claims.extend(known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(claims).to_string().into_bytes()
    }

    /// Reads a payload and refuses whatever [`AccessClaims::to_json`] would not have written in kind.
    pub fn from_json(payload: &[u8]) -> Result<Self, Rejection> {
        let mut claims = Claims(json::parse_object(payload).map_err(Rejection::ClaimsMalformed)?);
        Ok(Self {
            iss: claims.required("iss", Claims::text)?,
            sub: claims.required("sub", Claims::id)?,
            aud: claims.required("aud", Claims::audience)?,
            exp: claims.required("exp", Claims::time)?,
            iat: claims.required("iat", Claims::time)?,
            nbf: claims.required("nbf", Claims::time)?,
            jti: claims.required("jti", Claims::id)?,
            sid: claims.id("sid")?,
            client_id: claims.text("client_id")?.unwrap_or_default(),
            scope: claims.text("scope")?.unwrap_or_default(),
            roles: claims.list("roles")?.unwrap_or_default(),
            amr: claims.list("amr")?.unwrap_or_default(),
            auth_time: claims.time("auth_time")?,
            anon: claims.flag("anon")?.unwrap_or_default(),
            device_id: claims.text("device_id")?,
            username: claims.text("username")?,
            extra: claims.0,
        })
    }

    /// Holds the claims to what is expected of them at the time `now`.
    pub fn check(&self, expected: &Expected<'_>, now: DateTime<Utc>) -> Result<(), Rejection> {
        self.check_parties(expected)?;
        self.check_times(expected.leeway_seconds, now)
    }

    /// The part of [`Self::check`] that is the same at any time: who issued it, and for whom.
    pub fn check_parties(&self, expected: &Expected<'_>) -> Result<(), Rejection> {
        if self.iss != expected.issuer {
            return Err(Rejection::WrongIssuer);
        }
        if expected.audience.is_some_and(|audience| !self.aud.iter().any(|entry| entry == audience)) {
            return Err(Rejection::WrongAudience);
        }
        Ok(())
    }

    /// The part of [`Self::check`] that is not.
    pub fn check_times(&self, leeway_seconds: u8, now: DateTime<Utc>) -> Result<(), Rejection> {
        // In microseconds, so that a token is not kept alive, nor let in early, by the rest of a second.
        let micros = |seconds: i64| seconds.saturating_mul(1_000_000);
        let leeway = micros(i64::from(leeway_seconds.min(MAX_LEEWAY_SECONDS)));
        let now = now.timestamp_micros();
        let late_by = now.saturating_sub(micros(self.exp));
        // RFC 7519 §4.1.4: `exp` itself is already too late; only a leeway is used up to its end.
        if late_by > leeway || (late_by == 0 && leeway == 0) {
            return Err(Rejection::Expired);
        }
        let latest = now.saturating_add(leeway);
        if micros(self.nbf) > latest {
            return Err(Rejection::NotYetValid);
        }
        if micros(self.iat) > latest {
            return Err(Rejection::IssuedInFuture);
        }
        Ok(())
    }
}

/// The members that were not taken out yet. An absent claim is `None`; one that is `null` is malformed.
struct Claims(Map<String, Value>);

impl Claims {
    fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Self, &'static str) -> Result<Option<T>, Rejection>,
    ) -> Result<T, Rejection> {
        read(self, name)?.ok_or(Rejection::ClaimMissing(name))
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        convert: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, Rejection> {
        self.0.remove(name).map(|value| convert(value).ok_or(Rejection::ClaimInvalid(name))).transpose()
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, Rejection> {
        self.take(name, non_empty)
    }

    fn id<T: std::str::FromStr>(&mut self, name: &'static str) -> Result<Option<T>, Rejection> {
        self.take(name, |value| value.as_str()?.parse().ok())
    }

    /// RFC 7519 §2 lets a date have decimals. Here only integers are issued, and a float is where readers begin to differ.
    fn time(&mut self, name: &'static str) -> Result<Option<i64>, Rejection> {
        self.take(name, |value| value.as_i64().filter(|time| (0..=LAST_SECOND).contains(time)))
    }

    fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Rejection> {
        self.take(name, |value| value.as_bool())
    }

    fn list(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Rejection> {
        self.take(name, texts)
    }

    /// RFC 7519 §4.1.3: one text, or a list of them.
    fn audience(&mut self, name: &'static str) -> Result<Option<Vec<String>>, Rejection> {
        self.take(name, |value| match value {
            Value::Array(_) => texts(value).filter(|list| !list.is_empty()),
            one => non_empty(one).map(|text| vec![text]),
        })
    }
}

fn non_empty(value: Value) -> Option<String> {
    if let Value::String(text) = value { Some(text).filter(|text| !text.is_empty()) } else { None }
}

fn texts(value: Value) -> Option<Vec<String>> {
    if let Value::Array(list) = value { list.into_iter().map(non_empty).collect() } else { None }
}

#[cfg(test)]
mod tests;
