//! What is known of each job's past. It stands in the database, so that all nodes tell the same, and so that of several which
//! find that a job is due one begins.

use chrono::{DateTime, Utc};

use super::{Store, StoreError, on_pool};
use crate::model::{Job, JobRecord, Run, RunOutcome};

/// A job's record as it was read: what is written in its place supposes that it still is what it was.
#[derive(Clone, Debug, Default)]
pub struct SeenRecord {
    /// What it says.
    pub record: JobRecord,
    text: Option<String>,
}

fn setting(job: Job) -> String {
    format!("job.{job}")
}

fn written(record: &JobRecord) -> Result<String, StoreError> {
    serde_json::to_string(record).map_err(|error| sqlx::Error::Encode(error.into()).into())
}

impl Store {
    /// What is known of a job. A record that this release cannot read counts as none.
    pub async fn job_record(&self, job: Job) -> Result<SeenRecord, StoreError> {
        let text = self.setting(&setting(job)).await?;
        let record = text.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(SeenRecord { record, text })
    }

    /// Notes that a job begins, unless somebody has noted something since the record was read: of several who try, one does.
    pub async fn begin_job(&self, job: Job, seen: &SeenRecord, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let next = written(&JobRecord { begun_at: Some(at), ..seen.record.clone() })?;
        let changed = match &seen.text {
            Some(text) => on_pool!(self, pool => sqlx::query(
                    "UPDATE settings SET value = $1 WHERE name = $2 AND value = $3")
                .bind(next.as_str()).bind(setting(job)).bind(text.as_str())
                .execute(pool).await.map(|done| done.rows_affected()))?,
            None => on_pool!(self, pool => sqlx::query(
                    "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                .bind(setting(job)).bind(next.as_str())
                .execute(pool).await.map(|done| done.rows_affected()))?,
        };
        Ok(changed == 1)
    }

    /// Notes how a run ended.
    pub async fn finish_job(&self, job: Job, run: &Run) -> Result<(), StoreError> {
        let before = self.job_record(job).await?.record;
        let is_success = run.outcome == RunOutcome::Succeeded;
        let succeeded_at = if is_success { Some(run.finished_at) } else { before.succeeded_at };
        let begun_at = before.begun_at.max(Some(run.started_at));
        let text = written(&JobRecord { begun_at, last: Some(run.clone()), succeeded_at })?;
        on_pool!(self, pool => sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value")
            .bind(setting(job)).bind(text.as_str())
            .execute(pool).await.map(drop))?;
        Ok(())
    }
}
