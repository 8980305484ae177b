//! The pool, with work that ends when the test says so.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use tokio::task::JoinHandle as Task;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Work under the test's control.
struct Held {
    caller: Task<Result<(), PasswordError>>,
    begun: Receiver<()>,
    end: Sender<()>,
}

impl Held {
    fn start(pool: &Arc<Pool>, place: Place) -> Self {
        let (tell, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let pool = Arc::clone(pool);
        let caller = tokio::spawn(async move {
            let work = move |_: &mut Memory| {
                let _ = tell.send(());
                let _ = ended.recv_timeout(PATIENCE);
            };
            pool.run(place, work).await
        });
        Self { caller, begun, end }
    }

    fn has_begun(&self) {
        self.begun.recv_timeout(PATIENCE).unwrap();
    }

    fn is_waiting(&self) -> bool {
        self.begun.try_recv() == Err(mpsc::TryRecvError::Empty)
    }

    async fn ends(self) {
        self.end.send(()).unwrap();
        self.caller.await.unwrap().unwrap();
    }
}

fn pool(threads: usize, queue: usize) -> Arc<Pool> {
    Arc::new(Pool::start(threads, 64, queue).unwrap())
}

async fn until(holds: impl Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < give_up, "it never came to be");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses_at_once() {
    let pool = pool(1, 1);
    let first = Held::start(&pool, Place::Own);
    first.has_begun();
    let second = Held::start(&pool, Place::Own);
    until(|| pool.waiting() == 1).await;
    let third = pool.run(Place::Own, |_| ()).await;
    assert_eq!(third, Err(PasswordError::Busy { retry_after: WAIT.0 }));
    assert_eq!((pool.running(), pool.waiting()), (1, 1));
    first.ends().await;
    second.has_begun();
    second.ends().await;
    assert_eq!(pool.run(Place::Own, |_| 7).await, Ok(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_frees_no_thread() {
    let pool = pool(1, 4);
    let gone = Held::start(&pool, Place::Own);
    gone.has_begun();
    gone.caller.abort();
    assert!(gone.caller.await.unwrap_err().is_cancelled());
    let next = Held::start(&pool, Place::Own);
    until(|| pool.waiting() == 1).await;
    assert!(next.is_waiting());
    assert_eq!(pool.running(), 1);
    gone.end.send(()).unwrap();
    next.has_begun();
    next.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_waits_for_is_not_begun_and_takes_no_place() {
    let pool = pool(1, 2);
    let first = Held::start(&pool, Place::Own);
    first.has_begun();
    let gone = [Held::start(&pool, Place::Own), Held::start(&pool, Place::Other)];
    until(|| pool.waiting() == 2).await;
    let [gone, other] = gone.map(|held| {
        held.caller.abort();
        (held.caller, held.begun)
    });
    assert!(gone.0.await.is_err() && other.0.await.is_err());
    let next = Held::start(&pool, Place::Own);
    until(|| pool.waiting() == 1).await;
    first.ends().await;
    next.has_begun();
    next.ends().await;
    // Neither was begun: what would have told of it was dropped without a word.
    assert_eq!(gone.1.recv(), Err(mpsc::RecvError));
    assert_eq!(other.1.recv(), Err(mpsc::RecvError));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_memory_is_for_one_at_a_time_and_holds_nobody_else_up() {
    let pool = pool(2, 8);
    let first = Held::start(&pool, Place::Other);
    first.has_begun();
    let second = Held::start(&pool, Place::Other);
    until(|| pool.waiting() == 1).await;
    let own = Held::start(&pool, Place::Own);
    own.has_begun();
    own.ends().await;
    assert!(second.is_waiting());
    first.ends().await;
    second.has_begun();
    second.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_do_more_work_than_there_are_threads() {
    let pool = pool(3, 500);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let calls: Vec<_> = (0..400)
        .map(|number| {
            let (pool, now, most) = (Arc::clone(&pool), Arc::clone(&now), Arc::clone(&most));
            let call = tokio::spawn(async move {
                let work = move |_: &mut Memory| {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                pool.run(if number % 5 == 0 { Place::Other } else { Place::Own }, work).await
            });
            // Some lose patience.
            if number % 7 == 0 {
                call.abort();
            }
            call
        })
        .collect();
    for call in calls {
        assert!(call.await.is_err() || now.load(Ordering::SeqCst) <= 3);
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    until(|| pool.running() + pool.waiting() == 0).await;
}

#[tokio::test]
async fn work_that_panics_costs_no_thread() {
    let pool = pool(1, 4);
    assert_eq!(pool.run(Place::Other, |_| panic!("as a library might")).await, Err::<(), _>(PasswordError::Failed));
    assert_eq!(pool.run(Place::Other, |_| 7).await, Ok(7));
    until(|| pool.running() == 0).await;
}

#[tokio::test]
async fn the_threads_and_their_memory_end_with_the_pool() {
    let pool = pool(2, 4);
    pool.run(Place::Own, |memory| memory.lend(8, |blocks| blocks.len()).unwrap()).await.unwrap();
    let shared = Arc::clone(&pool.shared);
    assert_eq!(shared.ledger.held(), 64);
    drop(pool);
    // Each thread held a share.
    assert_eq!(Arc::strong_count(&shared), 1);
    assert_eq!(shared.ledger.held(), 0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn hashing_goes_last() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let ours = nice();
    let theirs = pool(1, 1).run(Place::Own, move |_| nice()).await.unwrap();
    assert_eq!(theirs, (ours + 10).min(19));
    assert_eq!(nice(), ours);
}
