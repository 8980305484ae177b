//! What a node works with, as it stands when somebody looks: connections to the database, threads that hash passwords, messages
//! that wait.

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Labels, Metrics};

#[derive(Clone, Debug)]
pub(super) struct Figures {
    database_connections: Family<Labels<2>, Gauge>,
    password_permits: Family<Labels<1>, Gauge>,
    password_queue: Gauge,
    password_queue_most: Gauge,
    messages_queued: Gauge,
    messages_queued_most: Gauge,
}

impl Figures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let figures = Self {
            database_connections: Family::default(),
            password_permits: Family::default(),
            password_queue: Gauge::default(),
            password_queue_most: Gauge::default(),
            messages_queued: Gauge::default(),
            messages_queued_most: Gauge::default(),
        };
        let help = "Connections to the database; most is how many there may be";
        registry.register("database_connections", help, figures.database_connections.clone());
        let help = "Threads that hash passwords; most is how many there are";
        registry.register("password_permits", help, figures.password_permits.clone());
        registry.register("password_queue", "Passwords that wait for a thread", figures.password_queue.clone());
        let help = "How many passwords may wait for a thread";
        registry.register("password_queue_most", help, figures.password_queue_most.clone());
        registry.register("messages_queued", "Messages that wait for a sender", figures.messages_queued.clone());
        let help = "How many messages may wait for a sender";
        registry.register("messages_queued_most", help, figures.messages_queued_most.clone());
        figures
    }
}

impl Metrics {
    /// A pool has so many connections, so many of them idle, and at most so many.
    pub fn database_connections(&self, pool: &'static str, size: usize, idle: usize, most: usize) {
        for (state, count) in [("busy", size.saturating_sub(idle)), ("idle", idle), ("most", most)] {
            self.node.database_connections.get_or_create(&[("pool", pool), ("state", state)]).set(whole(count));
        }
    }

    /// So many passwords are being hashed, by so many threads at most.
    pub fn passwords(&self, running: usize, most: usize) {
        for (state, count) in [("busy", running), ("most", most)] {
            self.node.password_permits.get_or_create(&[("state", state)]).set(whole(count));
        }
    }

    /// So many passwords wait for a thread, of so many that may.
    pub fn passwords_queued(&self, count: usize, most: usize) {
        self.node.password_queue.set(whole(count));
        self.node.password_queue_most.set(whole(most));
    }

    /// So many messages wait, of so many that may.
    pub fn messages_queued(&self, count: usize, most: usize) {
        self.node.messages_queued.set(whole(count));
        self.node.messages_queued_most.set(whole(most));
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
