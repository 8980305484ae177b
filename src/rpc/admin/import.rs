//! Accounts brought over from elsewhere.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use super::cause;
use crate::app::App;
use crate::identity::{Imports, Record, Unfit};
use crate::proto::v1;
use crate::rpc::validate::Faults;
use crate::store::Imported;

/// How many accounts one message may bring, and one call.
const MOST_PER_MESSAGE: usize = 1000;
const MOST_PER_CALL: usize = 20_000;

/// Each message is written before the next is read: whoever sends quickly waits, and what was written stays if the call is
/// broken off.
pub(super) async fn import_accounts(
    app: &Arc<App>,
    request: Request<tonic::Streaming<v1::ImportAccountsRequest>>,
) -> Result<Response<v1::ImportAccountsResponse>, Status> {
    let cause = cause(app, &request)?;
    let imports = Imports::new(app.store.clone(), app.config.accounts.default_region);
    let mut messages = request.into_inner();
    let mut answer = v1::ImportAccountsResponse::default();
    while let Some(message) = messages.message().await? {
        let mut faults = Faults::default();
        if message.accounts.len() > MOST_PER_MESSAGE {
            faults.add("accounts", format_args!("must be at most {MOST_PER_MESSAGE} in one message"));
        }
        if answer.results.len() + message.accounts.len() > MOST_PER_CALL {
            faults.add("accounts", format_args!("must be at most {MOST_PER_CALL} in one call"));
        }
        faults.none()?;
        let records = message.accounts.into_iter().map(record).collect();
        for outcome in imports.take(records, &cause).await? {
            note(&mut answer, outcome);
        }
    }
    Ok(Response::new(answer))
}

fn note(answer: &mut v1::ImportAccountsResponse, outcome: Result<Imported, Unfit>) {
    let mut result =
        v1::ImportResult { row: i64::try_from(answer.results.len()).unwrap_or(i64::MAX), ..Default::default() };
    match outcome {
        Ok(Imported::Created(id)) => {
            answer.created += 1;
            result.set_outcome(v1::ImportOutcome::Created);
            result.account_id = id.to_string();
        }
        Ok(Imported::Known(id)) => {
            answer.known += 1;
            result.set_outcome(v1::ImportOutcome::Known);
            result.account_id = id.to_string();
        }
        Err(unfit) => {
            answer.refused += 1;
            result.set_outcome(v1::ImportOutcome::Refused);
            result.fault = unfit.to_string();
        }
    }
    answer.results.push(result);
}

fn record(account: v1::ImportedAccount) -> Result<Record, Unfit> {
    let mut faults = Faults::default();
    let metadata = faults.metadata("metadata", account.metadata.as_ref());
    if let Some(fault) = faults.first() {
        return Err(Unfit::new("metadata", fault));
    }
    Ok(Record {
        created_at: time("created_at", account.created_at)?,
        last_login_at: time("last_login_at", account.last_login_at)?,
        metadata,
        phone: account.phone,
        email: account.email,
        first_name: account.first_name,
        last_name: account.last_name,
        password_hash: account.password_hash,
        roles: account.roles,
        blocked: account.blocked,
        locale: account.locale,
        unproved: account.unproved,
        ..Record::default()
    })
}

fn time(field: &'static str, time: Option<prost_types::Timestamp>) -> Result<Option<DateTime<Utc>>, Unfit> {
    let Some(time) = time else { return Ok(None) };
    let read = u32::try_from(time.nanos).ok().and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos));
    read.map(Some).ok_or_else(|| Unfit::new(field, "must be a time"))
}
