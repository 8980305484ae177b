//! An HTTP endpoint of the operator's own that knows about people. What is sent and answered is described at
//! `[identity.http]` in the manual of the configuration.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::fault::{Fault, Trouble, name};
use super::{Finding, Input, Stated};
use crate::config;
use crate::connect::SetupError;
use crate::connect::exchange::Exchange;
use crate::model::{BirthDate, IdentitySource, Phone, VerifiedIdentity};
use crate::signature::Signer;

#[derive(Debug)]
pub(super) struct Http {
    exchange: Exchange,
    url: String,
    signer: Option<Signer>,
}

#[derive(Serialize)]
struct Question<'a> {
    national_id: &'a str,
    phone: Option<&'a str>,
    birth_date: Option<String>,
}

#[derive(Deserialize)]
struct Statement {
    matched: bool,
    first_name: Option<String>,
    last_name: Option<String>,
    birth_date: Option<String>,
    alive: Option<bool>,
}

impl Http {
    pub(super) fn new(config: &config::HttpProvider, timeout: Duration) -> Result<Self, SetupError> {
        let signer = Signer::new(&config.secret);
        Ok(Self { exchange: Exchange::new(timeout)?, url: config.url.clone(), signer })
    }

    pub(super) async fn ask(&self, stated: &Stated) -> Result<Finding, Fault> {
        let question = Question {
            national_id: stated.national_id.expose(),
            phone: stated.phone.as_ref().map(Phone::as_str),
            birth_date: stated.birth_date.map(BirthDate::iso),
        };
        let body = serde_json::to_vec(&question)?;
        let mut headers = HeaderMap::new();
        if let Some(signer) = &self.signer {
            let signature = HeaderValue::try_from(signer.sign(&body)).map_err(|_| Trouble::NOT_SIGNED)?;
            headers.insert(HeaderName::from_static(Signer::HEADER), signature);
        }
        let answer = self.exchange.post(&self.url, headers, body).await?;
        match answer.status {
            200 => finding(&serde_json::from_slice(&answer.body)?, stated.birth_date),
            400 | 422 => Err(Fault::Refused(Input::NationalId)),
            status => Err(Trouble::of_status(status).into()),
        }
    }
}

fn finding(statement: &Statement, stated: Option<BirthDate>) -> Result<Finding, Fault> {
    if !statement.matched {
        return Ok(Finding::NotMatched);
    }
    let known = statement.birth_date.as_deref().map(str::parse::<BirthDate>).transpose();
    let birth_date = match (known.map_err(|_| Trouble::NOT_UNDERSTOOD)?, stated) {
        // It says that the date matches, and that it is another.
        (Some(known), Some(stated)) if known != stated => return Err(Trouble::NOT_UNDERSTOOD.into()),
        (known, stated) => known.or(stated),
    };
    Ok(Finding::Matched(VerifiedIdentity {
        source: IdentitySource::Http,
        first_name: name(statement.first_name.as_deref()),
        last_name: name(statement.last_name.as_deref()),
        birth_date,
        alive: statement.alive,
    }))
}
