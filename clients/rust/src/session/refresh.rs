//! The exchange of a refresh token. Owns that there is one at a time, that its name is kept before it begins and until it is
//! answered, and what is tried again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{SessionEnded, SessionError, Shared, State, Stored, alive_until};
use crate::backoff::Backoff;
use crate::clock;
use crate::proto::v1;
use crate::random;
use crate::status::retry_after;

/// After a failure nothing is fetched ahead of time for so long.
const QUIET: Duration = Duration::from_secs(5);

/// An exchange on its way.
#[derive(Clone)]
pub(super) struct Flight(watch::Receiver<Option<Result<(), SessionError>>>);

/// Tells those who wait, also where the task is ended before it has an outcome.
struct Landing {
    shared: Arc<Shared>,
    sender: watch::Sender<Option<Result<(), SessionError>>>,
}

impl Flight {
    /// What came of it.
    pub(super) async fn landing(mut self) -> Result<(), SessionError> {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(given_up()),
        }
    }
}

impl Landing {
    fn tell(&self, outcome: Result<(), SessionError>) {
        let mut state = self.shared.state.lock();
        state.flight = None;
        if outcome.is_err() {
            state.quiet_until = self.shared.clock.steady().saturating_add(clock::micros(clock::span(QUIET)));
        }
        self.sender.send_replace(Some(outcome));
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        if self.sender.borrow().is_none() {
            self.tell(Err(given_up()));
        }
    }
}

fn given_up() -> SessionError {
    SessionError::Unavailable(Status::cancelled("the exchange was given up"))
}

impl Shared {
    /// The exchange that is on its way, or a new one. It belongs to nobody who waits for it, so that none of them ends it by
    /// going away.
    pub(super) fn take_off(self: &Arc<Self>, state: &mut State) -> Flight {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let flight = Flight(receiver);
        state.flight = Some(flight.clone());
        let landing = Landing { shared: Arc::clone(self), sender };
        tokio::spawn(async move { landing.tell(landing.shared.refresh().await) });
        flight
    }

    async fn refresh(&self) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        let (refresh_token, request_id) = self.name_exchange().await?;
        let request = v1::RefreshRequest { refresh_token, request_id, client: self.client.clone() };
        let (asked_at, answer) = self
            .patiently(|| {
                let request = request.clone();
                async move {
                    let asked_at = self.clock.now();
                    let answer = self.connection.answer(self.connection.tokens().refresh(request)).await?;
                    let tokens = answer.tokens.ok_or_else(|| Status::internal("an answer without tokens"))?;
                    Ok((asked_at, tokens))
                }
            })
            .await?;
        let stored = Stored::of(answer, asked_at);
        {
            let mut state = self.state.lock();
            state.alive_until = alive_until(&stored, &self.clock);
            state.stored = stored.clone();
            state.unsaved = true;
        }
        // What is kept until then, the former pair and the name of this exchange, leads to the same pair again.
        match self.save(stored).await {
            Ok(()) => self.state.lock().unsaved = false,
            Err(error) => tracing::warn!(%error, "the new tokens are kept in memory only"),
        }
        Ok(())
    }

    /// The token to exchange, and the name under which. The name is kept before anything is sent: should the answer be lost,
    /// or this process, it is what tells the next try from a thief's.
    async fn name_exchange(&self) -> Result<(String, String), SessionError> {
        let (mut stored, unsaved) = {
            let state = self.state.lock();
            state.check()?;
            (state.stored.clone(), state.unsaved)
        };
        let token = stored.refresh_token.clone();
        match stored.pending.clone() {
            Some(request_id) if !unsaved => Ok((token, request_id)),
            _ => {
                let request_id = random::request_id(self.clock.now());
                let request_id =
                    request_id.ok_or_else(|| SessionError::Unavailable(Status::internal("no randomness")))?.to_string();
                stored.pending = Some(request_id.clone());
                self.save(stored.clone()).await?;
                let mut state = self.state.lock();
                (state.stored, state.unsaved) = (stored, false);
                Ok((token, request_id))
            }
        }
    }

    /// Tries as long as there is patience, and forgets the tokens where the answer is that the session has ended.
    async fn patiently<T, F>(&self, call: impl Fn() -> F) -> Result<T, SessionError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let outcome = self.again_and_again(call).await;
        if let Err(SessionError::Ended(ended)) = outcome {
            self.end(ended).await;
        }
        outcome
    }

    /// Tries again what may work next time, for as long as there is patience.
    async fn again_and_again<T, F>(&self, call: impl Fn() -> F) -> Result<T, SessionError>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let deadline = Instant::now() + self.patience;
        loop {
            let status = match call().await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            if let Some(ended) = SessionEnded::told_by(&status) {
                return Err(ended.into());
            }
            if !may_work_next_time(&status) {
                return Err(SessionError::Refused(status));
            }
            let pause = backoff.pause(retry_after(&status));
            if Instant::now() + pause > deadline {
                return Err(SessionError::Unavailable(status));
            }
            tracing::debug!(code = ?status.code(), message = status.message(), ?pause, "an exchange is tried again");
            tokio::time::sleep(pause).await;
        }
    }

    pub(super) async fn sign_out(&self) -> Result<(), SessionError> {
        let _turn = self.turn.lock().await;
        let refresh_token = {
            let state = self.state.lock();
            if state.ended.is_some() {
                return Ok(());
            }
            state.stored.refresh_token.clone()
        };
        self.leave(refresh_token).await?;
        self.end(SessionEnded::SignedOut).await;
        Ok(())
    }

    /// Signs out what could not be kept. The store is left alone: what it holds is another session's.
    pub(super) async fn give_back(&self) {
        let refresh_token = self.state.lock().stored.refresh_token.clone();
        if let Err(error) = self.leave(refresh_token).await {
            tracing::warn!(%error, "the session whose tokens cannot be kept could not be ended, and goes on unused");
        }
    }

    /// Ends the session at the service.
    async fn leave(&self, refresh_token: String) -> Result<(), SessionError> {
        let request = v1::LogoutRequest { refresh_token };
        let left = self
            .again_and_again(|| {
                let request = request.clone();
                async move { self.connection.answer(self.connection.auth().logout(request)).await }
            })
            .await;
        match left {
            // It had ended before.
            Ok(_) | Err(SessionError::Ended(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets the tokens.
    async fn end(&self, ended: SessionEnded) {
        self.state.lock().ended = Some(ended);
        let store = Arc::clone(&self.store);
        if let Err(error) = blocking(move || store.clear()).await {
            tracing::warn!(%error, "the tokens of a session that has ended are still kept");
        }
    }

    pub(super) async fn save(&self, stored: Stored) -> Result<(), SessionError> {
        let store = Arc::clone(&self.store);
        blocking(move || store.save(&stored)).await
    }
}

/// Runs what may block where that harms nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SessionError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| SessionError::Store(Arc::new(error)))
}

/// What the network, a proxy or a service under way may say once and not again. With the name of the exchange, saying it
/// twice does no harm.
fn may_work_next_time(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::Aborted
            | Code::ResourceExhausted
    )
}
