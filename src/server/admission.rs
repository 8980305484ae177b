//! How many connections a port holds open. What is too much is closed at once; those that are open hear nothing of it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::metrics::Metrics;
use crate::model::Network;

/// The connections of one port.
#[derive(Debug)]
pub(super) struct Admission {
    port: &'static str,
    most: usize,
    most_per_network: Option<usize>,
    open: AtomicUsize,
    by_network: Mutex<HashMap<Network, usize>>,
    metrics: Metrics,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    /// Where it comes from, if that is counted.
    network: Option<Network>,
}

impl Admission {
    pub(super) fn new(port: &'static str, most: usize, most_per_network: Option<usize>, metrics: Metrics) -> Arc<Self> {
        metrics.connections_opened(port, 0);
        Arc::new(Self {
            port,
            most,
            most_per_network,
            open: AtomicUsize::new(0),
            by_network: Mutex::default(),
            metrics,
        })
    }

    /// Lets a connection in, if there is room for it. One acceptor asks, so that nobody comes in between.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        if self.open.load(Ordering::Relaxed) >= self.most {
            self.metrics.shed("connections");
            return None;
        }
        let network = self.most_per_network.map(|most| (Network::from(address), most));
        if let Some((network, most)) = network {
            let mut by_network = self.by_network.lock();
            let open = by_network.entry(network).or_insert(0);
            if *open >= most {
                self.metrics.shed("connections_per_address");
                return None;
            }
            *open += 1;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        self.metrics.connections_opened(self.port, 1);
        Some(Admitted { admission: Arc::clone(self), network: network.map(|(network, _)| network) })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let admission = &self.admission;
        if let Some(network) = self.network {
            let mut by_network = admission.by_network.lock();
            if let Some(open) = by_network.get_mut(&network) {
                *open -= 1;
                if *open == 0 {
                    by_network.remove(&network);
                }
            }
        }
        admission.open.fetch_sub(1, Ordering::Relaxed);
        admission.metrics.connection_closed(admission.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_may_be_and_room_comes_back() {
        let admission = Admission::new("grpc", 3, Some(2), Metrics::new());
        let admit = |address: &str| admission.admit(address.parse().unwrap());
        let one = admit("192.0.2.1");
        let two = admit("192.0.2.1");
        assert!(one.is_some() && two.is_some() && admit("192.0.2.1").is_none());
        let other = admit("2001:db8::1");
        assert!(other.is_some() && admit("198.51.100.1").is_none());
        drop(two);
        assert!(admit("198.51.100.1").is_some());
        assert!(admit("192.0.2.1").is_some());
        drop((one, other));
        assert_eq!(admission.open.load(Ordering::Relaxed), 0);
        assert!(admission.by_network.lock().is_empty());
    }
}
