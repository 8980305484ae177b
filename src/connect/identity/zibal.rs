//! Zibal's inquiries: `shahkarInquiry` asks the registry of telephone numbers whether a mobile belongs to a national id,
//! `nationalIdentityInquiry` asks the civil registry whether a date of birth does, and who that is.
//!
//! Their documentation is at <https://help.zibal.ir/facilities>; what is known here of it comes from public clients that cite
//! it. Every answer is JSON with a `result` and, where that is 1, `data` with `matched`. (100 means success to the same
//! company's payment API only.) A refusal has been seen with status 400 and the same form. `message`, a sentence for people,
//! is not read.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Trouble, name};
use super::{Finding, Input, Stated};
use crate::config;
use crate::connect::SetupError;
use crate::connect::exchange::Exchange;
use crate::model::{IdentitySource, Phone, VerifiedIdentity};
use crate::secret::Secret;

#[derive(Debug)]
pub(super) struct Zibal {
    exchange: Exchange,
    url: String,
    token: Secret<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShahkarInquiry<'a> {
    mobile: &'a str,
    national_code: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NationalIdentityInquiry<'a> {
    national_code: &'a str,
    /// Jalali, `1370/01/01`.
    birth_date: &'a str,
}

#[derive(Deserialize)]
struct Envelope {
    result: i64,
    /// Whatever stands here when the inquiry has not succeeded is of no interest.
    #[serde(default)]
    data: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    matched: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    alive: Option<bool>,
}

impl Zibal {
    pub(super) fn new(config: &config::Zibal, timeout: Duration) -> Result<Self, SetupError> {
        let url = config.url.trim_end_matches('/').to_owned();
        Ok(Self { exchange: Exchange::new(timeout)?, url, token: config.token.clone() })
    }

    /// The phone number first: without it, whoever knows a stranger's number and birthday could be them.
    pub(super) async fn ask(&self, stated: &Stated) -> Result<Finding, Fault> {
        let Some(mobile) = stated.phone.as_ref().and_then(mobile) else { return Ok(Finding::NotMatched) };
        let national_code = stated.national_id.expose();
        let shahkar = ShahkarInquiry { mobile: &mobile, national_code };
        if !self.inquire("shahkarInquiry", &shahkar, Input::NationalId).await?.is_some_and(|data| data.matched) {
            return Ok(Finding::NotMatched);
        }
        let mut person = VerifiedIdentity {
            source: IdentitySource::Zibal,
            first_name: None,
            last_name: None,
            birth_date: stated.birth_date,
            alive: None,
        };
        if let Some(birth_date) = stated.birth_date {
            let registry = NationalIdentityInquiry { national_code, birth_date: &birth_date.jalali() };
            let found = self.inquire("nationalIdentityInquiry", &registry, Input::BirthDate).await?;
            let Some(found) = found.filter(|data| data.matched) else { return Ok(Finding::NotMatched) };
            person.first_name = name(found.first_name.as_deref());
            person.last_name = name(found.last_name.as_deref());
            person.alive = found.alive;
        }
        Ok(Finding::Matched(person))
    }

    /// One inquiry. Nothing is what comes back where the registry has nobody like this.
    async fn inquire(&self, inquiry: &str, body: &impl Serialize, input: Input) -> Result<Option<Data>, Fault> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", self.token.expose()))
            .map_err(|_| Trouble::lasting("has a token that cannot be sent: check identity.zibal.token", None))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, bearer)]);
        let url = format!("{}/v1/facility/{inquiry}", self.url);
        let answer = self.exchange.post(&url, headers, serde_json::to_vec(body)?).await?;
        let envelope = match serde_json::from_slice::<Envelope>(&answer.body) {
            Ok(envelope) if answer.status < 500 => envelope,
            _ if answer.status == 200 => return Err(Trouble::NOT_UNDERSTOOD.into()),
            _ => return Err(Trouble::of_status(answer.status).into()),
        };
        match envelope.result {
            1 => Ok(Some(serde_json::from_value(envelope.data)?)),
            NOT_FOUND => Ok(None),
            WRONG_INPUT => Err(Fault::Refused(input)),
            result => Err(trouble(result).into()),
        }
    }
}

/// A field is missing or cannot be right.
const WRONG_INPUT: i64 = 6;
/// Nothing was found for what was asked. Known for bank accounts; should a registry answer so, it means the same.
const NOT_FOUND: i64 = 44;

/// What the other results mean, as far as they are known for inquiries.
fn trouble(result: i64) -> Trouble {
    let code = Some(result);
    match result {
        2 => Trouble::lasting("did not get the token in the form it wants", code),
        3 => Trouble::lasting("does not know the token: check identity.zibal.token", code),
        4 => Trouble::lasting("has not unlocked this inquiry for the account", code),
        7 => Trouble::lasting("does not accept this machine's address: enter it in the panel", code),
        8 => Trouble::lasting("has the token marked as inactive: activate it in the panel", code),
        29 => Trouble::lasting("wants the wallet for fees to be charged", code),
        45 => Trouble::passing("has no registry to ask at the moment", code),
        _ => Trouble::odd("answered with a result that is not known for inquiries", result),
    }
}

/// Whether the registry has this number: it is an Iranian mobile.
pub(super) fn knows(phone: &Phone) -> bool {
    mobile(phone).is_some()
}

/// The number as it is written within Iran, `09121234567`.
fn mobile(phone: &Phone) -> Option<String> {
    let national = phone.as_str().strip_prefix("+98")?;
    (national.len() == 10 && national.starts_with('9')).then(|| format!("0{national}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_iranian_mobiles_are_known() {
        let mobile_of = |text: &str| mobile(&text.parse().unwrap());
        assert_eq!(mobile_of("+989121234567").as_deref(), Some("09121234567"));
        for other in ["+982188776655", "+4915112345678", "+97335412345", "+9891212345678"] {
            assert_eq!(mobile_of(other), None, "{other}");
        }
    }
}
