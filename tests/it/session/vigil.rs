//! Three nodes that are asked all the time about what was taken back, while something happens to what they stand on. Owns what
//! counts as accepted; leaves what happens to the rows.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use parking_lot::Mutex;

use super::newcomer;
use crate::harness::{Backend, TestApp, bearer};

/// Within which a revocation counts on every node: the default of `revocation.bound`.
pub(super) const BOUND: Duration = Duration::from_secs(5);
pub(super) const NODES: usize = 3;

/// How many that are known to be refused are asked about in each round.
const EACH_ROUND: usize = 50;

/// As by default, where tests otherwise have their own; and tokens that outlive the longest test.
const SETTINGS: [(&str, &str); 3] =
    [("revocation.reconcile_every", "1s"), ("cache.timeout", "50ms"), ("token.access_lifetime", "1h")];

/// Nodes, and what was taken back on them.
pub(super) struct Vigil {
    pub app: TestApp,
    revoked: Mutex<Vec<Revoked>>,
    done: AtomicBool,
    asked: [AtomicUsize; NODES],
    accepted: AtomicUsize,
    next: AtomicUsize,
    /// How long each answer about a token took.
    answered: Mutex<Vec<Duration>>,
    /// How long each acknowledgement took.
    acknowledged: Mutex<Vec<Duration>>,
    /// How long after its acknowledgement each revocation was first seen to count elsewhere.
    elsewhere: Mutex<Vec<Duration>>,
}

#[derive(Clone)]
struct Revoked {
    token: String,
    by: usize,
    at: Instant,
}

/// What came of it.
pub(super) struct Figures {
    /// How many revocations were acknowledged.
    pub revoked: usize,
    /// How many answers there were about what was revoked.
    pub asked: usize,
    /// How many of them must not have been `active`, and were.
    pub accepted: usize,
    /// Of the answers, of the acknowledgements, and until a revocation counted elsewhere, in order.
    pub answered: Vec<Duration>,
    pub acknowledged: Vec<Duration>,
    pub elsewhere: Vec<Duration>,
}

impl Vigil {
    /// Starts the nodes.
    pub(super) async fn over(settings: &[(&str, &str)]) -> Self {
        let app = TestApp::cluster(Backend::Shared, NODES, &[&SETTINGS, settings].concat()).await;
        Self {
            app,
            revoked: Mutex::default(),
            done: AtomicBool::new(false),
            asked: Default::default(),
            accepted: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            answered: Mutex::default(),
            acknowledged: Mutex::default(),
            elsewhere: Mutex::default(),
        }
    }

    /// Lets something happen, and asks all nodes meanwhile. At the end each revocation has had its time and each node has
    /// been asked again about all.
    pub(super) async fn during(&self, happens: Pin<Box<impl Future<Output = ()>>>) -> Figures {
        let happens = async {
            happens.await;
            tokio::time::sleep(BOUND + Duration::from_millis(200)).await;
            let asked = || self.asked.each_ref().map(|asked| asked.load(Ordering::SeqCst));
            let (before, all) = (asked(), self.revoked.lock().len() + EACH_ROUND);
            while asked().iter().zip(before).any(|(asked, before)| *asked < before + all) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.done.store(true, Ordering::SeqCst);
        };
        let all = async { tokio::join!(happens, self.ask(0), self.ask(1), self.ask(2)) };
        tokio::select! {
            _ = all => {}
            () = self.app.let_time_run() => {}
        }
        self.done.store(false, Ordering::SeqCst);
        let sorted = |durations: &Mutex<Vec<Duration>>| {
            let mut durations = std::mem::take(&mut *durations.lock());
            durations.sort();
            durations
        };
        Figures {
            revoked: std::mem::take(&mut *self.revoked.lock()).len(),
            asked: self.asked.iter().map(|asked| asked.swap(0, Ordering::SeqCst)).sum(),
            accepted: self.accepted.swap(0, Ordering::SeqCst),
            answered: sorted(&self.answered),
            acknowledged: sorted(&self.acknowledged),
            elsewhere: sorted(&self.elsewhere),
        }
    }

    /// Has somebody sign in, and takes their token back on one node after the other.
    pub(super) async fn take_back(&self) {
        let person = newcomer(&self.app).await;
        let by = self.next.fetch_add(1, Ordering::SeqCst) % NODES;
        let request = v1::RevokeRequest { token: person.access_token.clone(), ..Default::default() };
        let began = Instant::now();
        self.app.nodes[by].tokens().revoke(bearer(request, &self.app.api_key)).await.unwrap();
        self.acknowledged.lock().push(began.elapsed());
        self.revoked.lock().push(Revoked { token: person.access_token, by, at: Instant::now() });
    }

    /// Takes back all the time while something comes about.
    pub(super) async fn take_back_while(&self, comes_about: impl Future<Output = ()>) {
        let taking_back = async {
            loop {
                self.take_back().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = comes_about => {}
            () = taking_back => {}
        }
    }

    /// Asks one node about everything that was taken back, until told to stop: in every round about what still counted there
    /// the last time, and in turns about the rest.
    async fn ask(&self, node: usize) {
        let (mut refused, mut turn) = (HashSet::new(), 0);
        while !self.done.load(Ordering::SeqCst) {
            let revoked = self.revoked.lock().clone();
            let (known, open): (Vec<_>, Vec<_>) = revoked.into_iter().partition(|one| refused.contains(&one.token));
            let again = known.iter().cycle().skip(turn % known.len().max(1)).take(known.len().min(EACH_ROUND));
            for Revoked { token, by, at } in open.iter().chain(again) {
                let began = Instant::now();
                let late = at.elapsed() > BOUND;
                let active = self.app.is_active_on(node, token).await;
                self.answered.lock().push(began.elapsed());
                self.asked[node].fetch_add(1, Ordering::SeqCst);
                // One node acknowledged it; the others may take their time, once.
                if active && (node == *by || late || refused.contains(token)) {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                }
                if !active && refused.insert(token.clone()) && node != *by {
                    self.elsewhere.lock().push(at.elapsed());
                }
            }
            turn += EACH_ROUND;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Figures {
    /// Prints them under a name, and insists on what must hold whatever happens.
    pub(super) fn hold(&self, row: &str, what: &str) {
        eprintln!(
            "{row}: {what}: {} revoked, {} answers about them, {} accepted; answered p99 {:?}; acknowledged p99 {:?}; \
             elsewhere p50 {:?}, max {:?}",
            self.revoked,
            self.asked,
            self.accepted,
            part(&self.answered, 99),
            part(&self.acknowledged, 99),
            part(&self.elsewhere, 50),
            part(&self.elsewhere, 100),
        );
        assert_eq!(self.accepted, 0, "{row}: {what}");
        assert_eq!(self.elsewhere.len(), self.revoked * (NODES - 1), "{row}: {what}");
        assert!(part(&self.elsewhere, 100) < BOUND + Duration::from_secs(1), "{row}: {what}");
    }
}

/// What so many of a hundred do not exceed.
pub(super) fn part(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}
