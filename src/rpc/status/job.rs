//! Why a job was not done.

use tonic::{Code, Status};

use super::{ErrorReason, SOON, status, unavailable, with};
use crate::upkeep::{JobError, WorkError};

/// There is none of that name.
pub(crate) fn job_not_found() -> Status {
    status(Code::NotFound, ErrorReason::JobNotFound, "there is no such job")
}

impl From<JobError> for Status {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Running => {
                with(Code::Aborted, ErrorReason::JobRunning, "the job is being done already", |details| {
                    details.set_retry_info(Some(SOON));
                })
            }
            JobError::Store(error) => error.into(),
        }
    }
}

impl From<WorkError> for Status {
    fn from(error: WorkError) -> Self {
        match error {
            WorkError::Store(error) => error.into(),
            WorkError::Keyring(error) => error.into(),
            WorkError::Away { .. } => unavailable(),
        }
    }
}
