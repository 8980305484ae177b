//! Jobs, when an operator asks for them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::cause;
use crate::app::App;
use crate::model::{Job, Run, RunOutcome};
use crate::proto::v1;
use crate::rpc::convert::{duration, timestamp};
use crate::rpc::status;
use crate::rpc::validate::Faults;
use crate::upkeep::{Done, Standing};

pub(super) async fn purge_expired(
    app: &Arc<App>,
    request: Request<v1::PurgeExpiredRequest>,
) -> Result<Response<v1::PurgeExpiredResponse>, Status> {
    let finished = app.upkeep.run(Job::Purge, &cause(app, &request)?).await?;
    let Done::Purged { purged, .. } = finished.done? else {
        return Err(status::internal("a purge did something else"));
    };
    Ok(Response::new(v1::PurgeExpiredResponse {
        sessions: purged.sessions,
        revocations: purged.revocations,
        signing_keys: purged.signing_keys,
        events: purged.events,
        accounts: purged.accounts,
    }))
}

pub(super) async fn list_jobs(
    app: &Arc<App>,
    _: Request<v1::ListJobsRequest>,
) -> Result<Response<v1::ListJobsResponse>, Status> {
    let jobs = app.upkeep.standings().await?.into_iter().map(job).collect();
    Ok(Response::new(v1::ListJobsResponse { jobs }))
}

pub(super) async fn run_job(
    app: &Arc<App>,
    request: Request<v1::RunJobRequest>,
) -> Result<Response<v1::RunJobResponse>, Status> {
    let cause = cause(app, &request)?;
    let mut faults = Faults::default();
    let name = &request.get_ref().name;
    faults.token("name", name, 64);
    faults.none()?;
    let Ok(job) = name.parse() else { return Err(status::job_not_found()) };
    let finished = app.upkeep.run(job, &cause).await?;
    // A run that failed is an answer: it was asked for, and this is how it went.
    Ok(Response::new(v1::RunJobResponse { run: Some(run(finished.run)) }))
}

fn job(standing: Standing) -> v1::Job {
    v1::Job {
        name: standing.job.as_str().to_owned(),
        every: standing.every.map(duration),
        next_at: standing.next_at.map(timestamp),
        running: standing.is_running,
        last_run: standing.record.last.map(run),
        last_success_at: standing.record.succeeded_at.map(timestamp),
    }
}

fn run(run: Run) -> v1::JobRun {
    let outcome = match run.outcome {
        RunOutcome::Succeeded => v1::JobOutcome::Succeeded,
        RunOutcome::Failed => v1::JobOutcome::Failed,
        RunOutcome::Interrupted => v1::JobOutcome::Interrupted,
    };
    v1::JobRun {
        started_at: Some(timestamp(run.started_at)),
        finished_at: Some(timestamp(run.finished_at)),
        outcome: outcome.into(),
        detail: run.detail,
        actor: run.actor,
    }
}
