//! What the process is asked for from outside: to stop, and to look at its files again; and everybody's view of it.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What stops the service.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// A view of whether the service is to stop. Clones see the same.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and a view of it.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (trigger, view) = watch::channel(false);
    (Trigger(trigger), Shutdown(view))
}

impl Trigger {
    /// Asks everybody to stop. Dropping the trigger does the same.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been.
    #[must_use]
    pub fn is_pulled(&self) -> bool {
        *self.0.borrow()
    }
}

impl Shutdown {
    /// Returns once it is asked for.
    pub async fn requested(&mut self) {
        // A trigger that is gone has been pulled.
        let _ = self.0.wait_for(|requested| *requested).await;
    }

    /// Runs something until it is done or the service is to stop.
    pub async fn ends(mut self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = work => {}
            () = self.requested() => {}
        }
    }
}

/// The request to look at files at once. Clones share it.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<watch::Sender<u64>>);

/// Somebody who is told of it.
#[derive(Debug)]
pub struct Nudged(watch::Receiver<u64>);

impl Default for Nudge {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Nudge {
    /// Asks everybody who listens.
    pub fn give(&self) {
        self.0.send_modify(|times| *times += 1);
    }

    /// Listens. What was asked for before counts as well: whoever asks need not know who is there yet.
    #[must_use]
    pub fn listen(&self) -> Nudged {
        let mut times = self.0.subscribe();
        if *times.borrow() > 0 {
            times.mark_changed();
        }
        Nudged(times)
    }
}

impl Nudged {
    /// Returns once it is asked for again; never, if nobody is left who could.
    pub async fn given(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To stop.
    Stop,
    /// To look at files again.
    Reload,
}

/// What tells the process something: a terminal, or whoever runs it. From the moment it exists, they no longer end it at once.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// What the next one asks for.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.hangup.recv() => Asked::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_was_asked_for_before_somebody_listens_is_heard_once() {
        let nudge = Nudge::default();
        assert!(nudge.listen().given().now_or_never().is_none());
        nudge.give();
        let mut late = nudge.listen();
        assert!(late.given().now_or_never().is_some());
        assert!(late.given().now_or_never().is_none());
        nudge.give();
        assert!(late.given().now_or_never().is_some());
    }
}
