//! People who sign up, refresh their tokens and sign out all the time, whatever happens, as a good client does: what got no
//! answer is asked again under the same name. Owns what was acknowledged to them, and whether it held.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use parking_lot::Mutex;
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::harness::{Person, TestApp, bearer, request_id};
use crate::session::{newcomer_on, reason, refresh_on};

/// How often somebody refreshes before they stay away or sign out.
const REFRESHES: usize = 5;

/// Everybody, and what came of them.
#[derive(Default)]
pub(super) struct Crowd {
    /// Who has signed out, and was told so.
    ended: Mutex<Vec<Person>>,
    /// Who stayed away, with the last tokens they were given.
    away: Mutex<Vec<Person>>,
    done: AtomicBool,
    acknowledged: AtomicUsize,
    /// How many calls were answered with `UNAVAILABLE`.
    unavailable: AtomicUsize,
    /// How often somebody was signed out who had not asked for it, or went on after they had.
    wrong: AtomicUsize,
}

impl Crowd {
    /// So many people live on the nodes in turns while something happens.
    pub(super) async fn lives(&self, app: &TestApp, people: usize, happens: impl Future<Output = ()>) {
        let everybody = futures_util::future::join_all((0..people).map(|number| self.live(app, number)));
        let happens = async {
            happens.await;
            self.done.store(true, Ordering::SeqCst);
        };
        tokio::join!(everybody, happens);
    }

    async fn live(&self, app: &TestApp, number: usize) {
        let mut round = number;
        while !self.done.load(Ordering::SeqCst) {
            round += 1;
            let node = &app.nodes[round % app.nodes.len()];
            let Ok(mut person) = newcomer_on(node, app.now()).await else {
                self.unavailable.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut lost = false;
            for step in 0..REFRESHES {
                let node = &app.nodes[(round + step) % app.nodes.len()];
                let (token, intent) = (person.refresh_token.clone(), request_id());
                match self.until_told(|| refresh_on(node, &token, &intent)).await {
                    Ok(next) => {
                        (person.access_token, person.refresh_token) = (next.access_token, next.refresh_token);
                    }
                    Err(status) => {
                        eprintln!("a refresh was answered with {status:?}");
                        lost = true;
                        break;
                    }
                }
            }
            self.wrong.fetch_add(usize::from(lost), Ordering::SeqCst);
            if lost {
                continue;
            }
            if round.is_multiple_of(2) {
                self.away.lock().push(person);
                continue;
            }
            let logout =
                || async { node.auth().logout(bearer(v1::LogoutRequest::default(), &person.access_token)).await };
            match self.until_told(logout).await {
                // Its token stops to count with the acknowledgement, on that node; or a lost answer was none.
                Ok(_) if node_says(app, round % app.nodes.len(), &person.access_token).await != Some(true) => {
                    self.ended.lock().push(person);
                }
                // Nor does it for who asks again because there was no answer: they are out, which is seen in the end.
                Err(status) if status.code() == Code::Unauthenticated => self.ended.lock().push(person),
                outcome => {
                    eprintln!("a sign-out was answered with {outcome:?}");
                    self.wrong.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }

    /// Asks until there is an answer that says something.
    async fn until_told<T, F: Future<Output = Result<T, Status>>>(&self, ask: impl Fn() -> F) -> Result<T, Status> {
        loop {
            match ask().await {
                Err(status) if status.code() == Code::Unavailable => {
                    self.unavailable.fetch_add(1, Ordering::SeqCst);
                    sleep(Duration::from_millis(50)).await;
                }
                outcome => {
                    self.acknowledged.fetch_add(usize::from(outcome.is_ok()), Ordering::SeqCst);
                    return outcome;
                }
            }
        }
    }

    /// Holds everything that was acknowledged against what is: prints the figures, and insists that nothing is missing.
    pub(super) async fn holds(&self, app: &TestApp, row: &str) {
        let (mut lost, mut revived) = (0, 0);
        let (away, ended) = (std::mem::take(&mut *self.away.lock()), std::mem::take(&mut *self.ended.lock()));
        for person in &away {
            lost += usize::from(refresh_on(app.node(), &person.refresh_token, "").await.is_err());
        }
        for person in &ended {
            let outcome = refresh_on(app.node(), &person.refresh_token, "").await;
            revived += usize::from(outcome.is_ok() || reason(outcome) != "SESSION_ENDED");
            for node in 0..app.nodes.len() {
                revived += usize::from(node_says(app, node, &person.access_token).await != Some(false));
            }
        }
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        eprintln!(
            "{row}: {} acknowledged, {} told to ask again; of {} who stayed signed in {lost} lost, of {} who signed out \
             {revived} revived, {} answered wrongly",
            count(&self.acknowledged),
            count(&self.unavailable),
            away.len(),
            ended.len(),
            count(&self.wrong),
        );
        assert_eq!((lost, revived, count(&self.wrong)), (0, 0, 0), "{row}");
        assert!(!away.is_empty() && !ended.is_empty(), "{row}: nobody lived");
    }
}

/// Whether a node holds a token to be active, if it can tell.
async fn node_says(app: &TestApp, node: usize, token: &str) -> Option<bool> {
    app.ask(node, token).await.ok()
}

/// How long it takes until every node has refreshed tokens.
pub(super) async fn all_serve(app: &TestApp, probes: &mut [Person]) -> Duration {
    let began = Instant::now();
    let serves = app.nodes.iter().zip(probes).map(|(node, probe)| async move {
        let intent = request_id();
        loop {
            match refresh_on(node, &probe.refresh_token, &intent).await {
                Ok(next) => break probe.refresh_token = next.refresh_token,
                Err(status) => {
                    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                    assert!(began.elapsed() < super::SOON * 3, "a node does not serve again: {status:?}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    });
    futures_util::future::join_all(serves).await;
    began.elapsed()
}
