//! What of a node can only be told by looking at it: how full and how old things are. It is looked at when somebody asks for
//! the figures, so that nothing has to be counted meanwhile.

use chrono::TimeDelta;

use super::App;
use crate::metrics::{Metrics, Snapshot};
use crate::model::{KeyState, SigningKey};

impl App {
    /// All figures of this node as Prometheus reads them.
    pub fn figures(&self) -> Result<String, std::fmt::Error> {
        self.look().render()
    }

    /// All figures of this node as data.
    pub fn snapshot(&self) -> Result<Snapshot, std::fmt::Error> {
        self.look().snapshot()
    }

    /// Brings up to date what is not counted as it happens.
    fn look(&self) -> &Metrics {
        let now = self.clock.now();
        self.metrics.replica(self.replica.len(), seconds(now - self.replica.as_of()));
        self.metrics.replica_bound(seconds(self.config.revocation.bound));
        let keys = self.keyring.keys();
        for (state, name) in
            [(KeyState::Pending, "pending"), (KeyState::Active, "active"), (KeyState::Retired, "retired")]
        {
            let of_state = || keys.records.iter().filter(|key| key.state == state);
            let oldest = of_state().map(|key| now - since(key)).max().unwrap_or_default();
            self.metrics.signing_keys(name, of_state().count(), seconds(oldest));
        }
        self.metrics.signing_keys_read(seconds(now - self.keyring.as_of()));
        for (pool, store) in [("main", &self.store), ("vital", &self.vital), ("background", &self.background)] {
            let (size, idle, most) = store.connections();
            self.metrics.database_connections(pool, size, idle, most);
        }
        self.metrics.passwords(self.passwords.running(), self.passwords.threads());
        self.metrics.passwords_queued(self.passwords.waiting(), self.config.password.queue);
        self.metrics.messages_queued(self.notifier.waiting(), self.config.notify.queue);
        &self.metrics
    }
}

/// Since when a key has been in its state.
fn since(key: &SigningKey) -> chrono::DateTime<chrono::Utc> {
    let moment = match key.state {
        KeyState::Pending => None,
        KeyState::Active => key.activated_at,
        KeyState::Retired => key.retired_at,
    };
    moment.unwrap_or(key.created_at)
}

fn seconds(span: TimeDelta) -> f64 {
    span.as_seconds_f64()
}
