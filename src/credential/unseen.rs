//! What is done behind a caller's back, because it takes longer for somebody who is known.

use std::time::Duration;

use crate::random::Random;

/// Does something once the answer is out, and at a moment that says nothing of which answer it belongs to: else the work
/// itself would slow this answer or the next one down.
pub(super) fn unseen(work: impl Future<Output = ()> + Send + 'static) {
    let pause = Duration::from_millis(50) + Duration::from_millis(1) * u32::from(Random.bytes::<1>()[0]);
    tokio::spawn(async move {
        tokio::time::sleep(pause).await;
        work.await;
    });
}
