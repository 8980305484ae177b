use super::*;
use crate::model::Target;
use crate::random::Random;
use countersign_token::SessionId;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// When a session was ended is not kept.
fn revocation() -> Revocation {
    let target = Target::Session(SessionId(Random.id(at(0))));
    Revocation { target, revoked_at: DateTime::UNIX_EPOCH, expires_at: at(300) }
}

const HEARTBEAT: Duration = Duration::from_millis(20);

/// News and a replica, as a node has them.
struct Node {
    news: News,
    replica: Arc<Replica>,
}

impl Node {
    fn new() -> Self {
        Self { news: News::new(10), replica: Arc::default() }
    }

    fn learn(&self, revocation: Revocation, now: DateTime<Utc>) {
        if self.replica.apply(&revocation) {
            self.news.tell(revocation, now);
        }
    }

    fn vouch(&self, as_of: DateTime<Utc>) {
        self.replica.set_as_of(as_of);
        self.news.tell_up_to(as_of);
    }

    fn watch(&self, since: Option<Cursor>, now: DateTime<Utc>) -> Result<Watch, WatchError> {
        self.news.watch(&self.replica, since, HEARTBEAT, now)
    }
}

/// The next thing that is not a checkpoint.
async fn news(watch: &mut Watch) -> Result<Event, WatchError> {
    loop {
        match watch.next().await {
            Ok(Event::Checkpoint(_)) => {}
            other => return other,
        }
    }
}

/// Everything up to the next checkpoint.
async fn until_checkpoint(watch: &mut Watch) -> (Vec<Event>, DateTime<Utc>) {
    let mut events = Vec::new();
    loop {
        match watch.next().await.unwrap() {
            Event::Checkpoint(as_of) => return (events, as_of),
            event => events.push(event),
        }
    }
}

/// Everything up to the checkpoint that speaks for this time.
async fn until(watch: &mut Watch, as_of: DateTime<Utc>) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match watch.next().await.unwrap() {
            Event::Checkpoint(at) if at == as_of => return events,
            Event::Checkpoint(_) => {}
            event => events.push(event),
        }
    }
}

#[tokio::test]
async fn a_snapshot_comes_first_and_changes_after_it() {
    let node = Node::new();
    let (before, after) = (revocation(), revocation());
    node.learn(before, at(1));
    node.vouch(at(2));
    let mut watch = node.watch(None, at(2)).unwrap();
    assert_eq!(watch.next().await, Ok(Event::SnapshotBegin));
    assert_eq!(until_checkpoint(&mut watch).await, (vec![Event::Revocation(before)], at(2)));
    node.learn(after, at(3));
    node.learn(after, at(3));
    node.vouch(at(4));
    assert_eq!(until(&mut watch, at(4)).await, [Event::Revocation(after)]);
    // Nothing happens, and the node is cut off from its database: it says so by a time that stands still.
    assert_eq!(until_checkpoint(&mut watch).await, (vec![], at(4)));
}

#[tokio::test]
async fn what_happens_during_a_snapshot_is_told_by_it_or_after_it() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.learn(revocation(), at(1));
    }
    node.vouch(at(2));
    let mut watch = node.watch(None, at(2)).unwrap();
    let mut heard = Vec::new();
    for _ in 0..500 {
        heard.push(watch.next().await.unwrap());
    }
    let meanwhile: Vec<_> = (0..500).map(|_| revocation()).collect();
    for each in &meanwhile {
        node.learn(*each, at(3));
    }
    let (rest, as_of) = until_checkpoint(&mut watch).await;
    // What is promised at the end of the snapshot is no more than what was known at its beginning.
    assert_eq!(as_of, at(2));
    heard.extend(rest);
    node.vouch(at(4));
    heard.extend(until(&mut watch, at(4)).await);
    assert!(meanwhile.iter().all(|each| heard.contains(&Event::Revocation(*each))));
}

#[tokio::test]
async fn a_cursor_brings_what_was_missed_on_any_node() {
    let (here, there) = (Node::new(), Node::new());
    let (old, missed) = (revocation(), revocation());
    for node in [&here, &there] {
        node.learn(old, at(10));
        node.vouch(at(20));
        node.learn(missed, at(30));
        node.vouch(at(40));
        let mut watch = node.watch(Some(Cursor::at(at(20))), at(40)).unwrap();
        assert_eq!(until_checkpoint(&mut watch).await, (vec![Event::Revocation(missed)], at(40)));
    }
    // By this node's clock it was a little before, by the other's a little after.
    let mut watch = here.watch(Some(Cursor::at(at(34))), at(40)).unwrap();
    assert_eq!(until_checkpoint(&mut watch).await.0, [Event::Revocation(missed)]);
    let mut watch = here.watch(Some(Cursor::at(at(36))), at(40)).unwrap();
    assert_eq!(until_checkpoint(&mut watch).await.0, []);
}

#[tokio::test]
async fn a_cursor_from_before_what_is_remembered_is_refused() {
    let node = Node::new();
    for number in 0..=RECENT {
        node.learn(revocation(), at(i64::try_from(number).unwrap()));
    }
    // The first has been forgotten; it was learnt at 0.
    assert_eq!(node.watch(Some(Cursor::at(at(5))), at(70_000)).unwrap_err(), WatchError::CursorTooOld);
    assert!(node.watch(Some(Cursor::at(at(6))), at(70_000)).is_ok());
    assert_eq!(node.watch(Some(Cursor::at(at(70_006))), at(70_000)).unwrap_err(), WatchError::CursorTooOld);

    node.news.forget_times(at(100));
    assert_eq!(node.watch(Some(Cursor::at(at(104))), at(100)).unwrap_err(), WatchError::CursorTooOld);
    assert!(node.watch(Some(Cursor::at(at(111))), at(110)).is_ok());
}

#[tokio::test]
async fn what_was_missed_and_is_overwritten_while_it_is_read_is_not_passed_over() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.learn(revocation(), at(10));
    }
    let mut watch = node.watch(Some(Cursor::at(at(10))), at(10)).unwrap();
    for _ in 0..MISSED_AT_A_TIME {
        assert!(matches!(watch.next().await, Ok(Event::Revocation(_))));
    }
    // What has expired is wanted by nobody, and what comes meanwhile comes by the row.
    node.news.forget_expired(at(300));
    assert_eq!(until_checkpoint(&mut watch).await.0, []);

    let node = Node::new();
    for _ in 0..1_000 {
        node.learn(revocation(), at(10));
    }
    let mut watch = node.watch(Some(Cursor::at(at(10))), at(10)).unwrap();
    assert!(matches!(watch.next().await, Ok(Event::Revocation(_))));
    for _ in 0..RECENT {
        node.learn(revocation(), at(11));
    }
    let mut told = 1;
    let end = loop {
        match watch.next().await {
            Ok(_) => told += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((told, end), (MISSED_AT_A_TIME, WatchError::CursorTooOld));
}

#[tokio::test]
async fn whoever_is_left_behind_is_told_so() {
    let node = Node::new();
    let mut watch = node.watch(None, at(0)).unwrap();
    assert_eq!(watch.next().await, Ok(Event::SnapshotBegin));
    until_checkpoint(&mut watch).await;
    for _ in 0..=ROW {
        node.learn(revocation(), at(1));
    }
    assert_eq!(news(&mut watch).await, Err(WatchError::TooSlow));
}

#[tokio::test]
async fn watchers_are_counted_and_end_with_the_node() {
    let node = Node::new();
    let mut watches: Vec<_> = (0..10).map(|_| node.watch(None, at(0)).unwrap()).collect();
    assert_eq!(node.watch(None, at(0)).unwrap_err(), WatchError::TooMany);
    watches.pop();
    assert_eq!(node.news.watchers(), 9);
    let mut watch = node.watch(None, at(0)).unwrap();
    until_checkpoint(&mut watch).await;
    node.learn(revocation(), at(1));
    node.news.end();
    assert!(matches!(news(&mut watch).await, Ok(Event::Revocation(_))));
    assert_eq!(news(&mut watch).await, Err(WatchError::Leaving));
    drop(watches);
    assert_eq!(node.watch(None, at(0)).unwrap_err(), WatchError::Leaving);
}

#[test]
fn a_cursor_survives_its_text_and_nothing_else_is_one() {
    let cursor = Cursor::at(at(7));
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for bad in ["", "A", "AQ", "AQAAAAAAAAAAAA", "AgAGZVr8Oo_A", "AX__________", "AYAAAAAAAAAA", "AQAG ZVr8Oo_A"] {
        assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
    }
}
