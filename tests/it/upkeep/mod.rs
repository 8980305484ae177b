//! What keeps an installation in order: jobs by every way to begin them, an end in good order, secrets that change, and
//! databases that earlier releases have left.

mod command;
mod earlier;
mod jobs;
mod leaving;
mod outside;
mod pace;
mod previous;
mod schedule;
mod secrets;
mod waiting;

use countersign::model::{Cause, TokenId};
use countersign::proto::v1;
use countersign::random::Random;
use tonic::Status;

use crate::harness::{Node, TestApp, bearer};

/// How the jobs stand, as a node tells it.
async fn jobs(app: &TestApp, node: &Node) -> Vec<v1::Job> {
    node.admin().list_jobs(bearer(v1::ListJobsRequest {}, &app.api_key)).await.unwrap().into_inner().jobs
}

/// How one of them stands.
async fn job(app: &TestApp, node: &Node, name: &str) -> v1::Job {
    jobs(app, node).await.into_iter().find(|job| job.name == name).unwrap()
}

async fn run(app: &TestApp, node: &Node, name: &str) -> Result<v1::JobRun, Status> {
    let request = bearer(v1::RunJobRequest { name: name.to_owned() }, &app.api_key);
    node.admin().run_job(request).await.map(|answer| answer.into_inner().run.unwrap())
}

/// Revocations that a purge may delete two hours from now.
async fn revoke(app: &TestApp, count: usize) {
    for _ in 0..count {
        let (cause, token) = (Cause::system(app.now()), TokenId(Random.id(app.now())));
        app.node().app().store.revoke_token(token, None, app.now(), &cause).await.unwrap();
    }
}
