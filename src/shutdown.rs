//! The request to stop, and everybody's view of it.

use std::future::Future;
use std::io;

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

/// What tells the process to stop: a terminal, or whoever runs it. From the moment it exists, they no longer end it at once.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns when the next one comes.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
