//! Which calls of a connection are at work, and when a connection that has none may be cut off: a node that leaves waits for calls,
//! and for nobody who has merely left a connection open.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower::Service;

use crate::shutdown::Shutdown;

/// How long a connection without calls may take to say goodbye, which includes taking in its last answer.
const FAREWELL: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How many calls of one connection are at work.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

/// Returns when a connection is to be cut off: the node leaves, none of its calls is at work, and it has had its time. A stream
/// that nobody reads is no work.
pub(super) async fn farewell(mut closing: Shutdown, calls: Calls) {
    closing.requested().await;
    let mut idle_for = Duration::ZERO;
    while idle_for < FAREWELL {
        tokio::time::sleep(LOOK).await;
        idle_for = if calls.0.load(Ordering::Relaxed) == 0 { idle_for + LOOK } else { Duration::ZERO };
    }
}

/// One of the calls at work, for as long as it lives.
#[derive(Debug)]
struct AtWork(Arc<AtomicUsize>);

impl AtWork {
    fn begin(calls: &Calls) -> Self {
        calls.0.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&calls.0))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A service whose calls are counted.
#[derive(Clone, Debug)]
pub(super) struct Counting<S> {
    inner: S,
    calls: Calls,
}

impl<S> Counting<S> {
    pub(super) const fn of(calls: Calls, inner: S) -> Self {
        Self { inner, calls }
    }
}

impl<S, B> Service<http::Request<B>> for Counting<S>
where
    S: Service<http::Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Counted<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let at_work = AtWork::begin(&self.calls);
        Counted { inner: self.inner.call(request), _at_work: at_work }
    }
}

pin_project! {
    /// A call at work.
    #[derive(Debug)]
    pub(super) struct Counted<F> {
        #[pin]
        inner: F,
        _at_work: AtWork,
    }
}

impl<F: Future> Future for Counted<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.project().inner.poll(context)
    }
}
