//! `POST /jobs/{name}`, for a cron outside, which has a key of its own and may do nothing else with it.

use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use serde_json::json;
use std::collections::VecDeque;
use tracing::warn;

use super::{Remote, View};
use crate::gateway::bearer;
use crate::model::{Actor, Cause, Job, Network, RunOutcome};
use crate::upkeep::JobError;

/// Wrong keys from one network, within this long; then the next ones are told to wait until the first of them is as old.
const MOST_WRONG: usize = 10;
const WINDOW: TimeDelta = TimeDelta::minutes(1);
/// How many wrong keys are remembered in all. Where there are more, the oldest are forgotten.
const REMEMBERED: usize = 4_096;

/// Wrong keys of late: when, and from which network.
#[derive(Debug, Default)]
pub(super) struct WrongKeys(Mutex<VecDeque<(DateTime<Utc>, Network)>>);

impl WrongKeys {
    /// How long a network has to wait before its wrong keys are told that they are wrong.
    fn wait(&self, from: &Network, now: DateTime<Utc>) -> Option<TimeDelta> {
        let wrong = self.0.lock();
        let of_late = || wrong.iter().filter(|(at, network)| network == from && *at + WINDOW > now);
        let oldest = of_late().map(|(at, _)| *at).next()?;
        (of_late().count() >= MOST_WRONG).then(|| oldest + WINDOW - now)
    }

    fn note(&self, from: Network, now: DateTime<Utc>) {
        let mut wrong = self.0.lock();
        while wrong.len() >= REMEMBERED || wrong.front().is_some_and(|(at, _)| *at + WINDOW <= now) {
            wrong.pop_front();
        }
        wrong.push_back((now, from));
    }
}

/// Does a job, and answers when it is done. Whoever leaves before that does not stop it.
pub(super) async fn run(
    Shared(view): Shared<View>,
    Extension(remote): Extension<Remote>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let app = &view.app;
    if !app.upkeep.has_http_key() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let now = app.clock.now();
    // First: whoever else comes from the same network, or through the same proxy, cannot keep out who has the key.
    if !credential(&headers).is_some_and(|key| app.upkeep.is_http_key(key)) {
        return refused(&view.wrong_keys, &remote, now);
    }
    let Ok(job) = name.parse::<Job>() else {
        return (StatusCode::NOT_FOUND, refusal("there is no such job")).into_response();
    };
    let ip = remote.address.to_canonical().to_string();
    let cause = Cause { actor: Actor::Cron, ip, ..Cause::system(now) };
    match app.upkeep.run(job, &cause).await {
        Ok(finished) => {
            let run = finished.run;
            let status = match run.outcome {
                RunOutcome::Succeeded | RunOutcome::Interrupted => StatusCode::OK,
                RunOutcome::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let body = json!({
                "job": job.as_str(),
                "outcome": run.outcome.as_str(),
                "detail": run.detail,
                "started_at": run.started_at.to_rfc3339(),
                "finished_at": run.finished_at.to_rfc3339(),
            });
            (status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
        }
        Err(JobError::Running) => (StatusCode::CONFLICT, refusal("the job is running already")).into_response(),
        Err(JobError::Store(cause)) => {
            warn!(%cause, "a job could not be begun");
            (StatusCode::SERVICE_UNAVAILABLE, refusal("the database does not answer")).into_response()
        }
    }
}

/// Wrong keys are counted and, past a number, neither logged nor told from each other.
fn refused(wrong_keys: &WrongKeys, remote: &Remote, now: DateTime<Utc>) -> Response {
    let network = Network::from(remote.address);
    if let Some(wait) = wrong_keys.wait(&network, now) {
        let seconds = HeaderValue::from(wait.num_seconds().max(1));
        let error = "there were too many wrong keys";
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds)], refusal(error)).into_response();
    }
    wrong_keys.note(network, now);
    warn!(address = %remote.address, "a job was asked for with a wrong key");
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"jobs\"")];
    (StatusCode::UNAUTHORIZED, challenge, refusal("the key of jobs.http_key is needed")).into_response()
}

fn refusal(error: &str) -> Json<serde_json::Value> {
    Json(json!({ "error": error }))
}

/// The key that comes along, if it is one only.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let only = values.next().filter(|_| values.next().is_none())?;
    bearer(only.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_network_with_many_wrong_keys_waits_and_others_do_not() {
        let wrong = WrongKeys::default();
        let network = |last| Network::from(IpAddr::from([192, 0, 2, last]));
        let start = DateTime::UNIX_EPOCH;
        for second in 0..10 {
            assert_eq!(wrong.wait(&network(1), start), None);
            wrong.note(network(1), start + TimeDelta::seconds(second));
        }
        let now = start + TimeDelta::seconds(10);
        assert_eq!(wrong.wait(&network(1), now), Some(TimeDelta::seconds(50)));
        assert_eq!(wrong.wait(&network(2), now), None);
        assert_eq!(wrong.wait(&network(1), start + WINDOW), None);
        for _ in 0..2 * REMEMBERED {
            wrong.note(network(3), now);
        }
        assert_eq!(wrong.0.lock().len(), REMEMBERED);
    }
}
