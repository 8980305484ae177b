//! F5: a broker that is away loses nothing, reorders nothing within an account, and slows nobody down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use countersign::proto::v1;
use countersign::proto::v1::admin_service_client::AdminServiceClient;
use countersign::random::Random;
use countersign::store::Store;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::{Listener, by_account, until};
use crate::harness::database::number;
use crate::harness::{Backend, OwnRabbit, Program, TestApp, Wire, bearer, figure, has_services, request_id};

/// How many change accounts at a time.
const OPERATORS: u32 = 6;
/// How long a call may take when a node has just been killed, and how often it is then made again.
const TRIES: usize = 40;

/// How long calls took that were answered, while the broker was there and while it was not.
#[derive(Default)]
struct Load {
    ends: AtomicBool,
    is_down: AtomicBool,
    took: [Mutex<Vec<Duration>>; 2],
}

impl Load {
    /// Opens accounts, and shuts and opens each a few times, through whichever node answers.
    async fn run(&self, nodes: &[Channel], api_key: &str, operator: u32) {
        let mut round = 0;
        while !self.ends.load(Ordering::SeqCst) {
            round += 1;
            let account = v1::Account { phone: format!("0912{operator}{round:06}"), ..Default::default() };
            let new =
                v1::CreateAccountRequest { account: Some(account), request_id: request_id(), ..Default::default() };
            let created = self.answered(nodes, |mut admin| {
                let request = bearer(new.clone(), api_key);
                async move { admin.create_account(request).await.map(tonic::Response::into_inner) }
            });
            let account_id = created.await.account.unwrap().account_id;
            for _ in 0..2 {
                let request = v1::BlockAccountRequest { account_id: account_id.clone(), ..Default::default() };
                self.answered(nodes, |mut admin| {
                    let request = bearer(request.clone(), api_key);
                    async move { admin.block_account(request).await.map(drop) }
                })
                .await;
                let request = v1::UnblockAccountRequest { account_id: account_id.clone() };
                self.answered(nodes, |mut admin| {
                    let request = bearer(request.clone(), api_key);
                    async move { admin.unblock_account(request).await.map(drop) }
                })
                .await;
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answered<T, F: Future<Output = Result<T, Status>>>(
        &self,
        nodes: &[Channel],
        call: impl Fn(AdminServiceClient<Channel>) -> F,
    ) -> T {
        for _ in 0..TRIES {
            let node = &nodes[usize::try_from(Random.below(u32::try_from(nodes.len()).unwrap())).unwrap()];
            let (is_down, begun) = (self.is_down.load(Ordering::SeqCst), Instant::now());
            if let Ok(answer) = call(AdminServiceClient::new(node.clone())).await {
                self.took[usize::from(is_down)].lock().push(begun.elapsed());
                return answer;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("no node answers");
    }

    /// How many calls were answered, and how long 99 of 100 of them took at most.
    fn figures(&self, down: bool) -> (usize, Duration) {
        let mut took = self.took[usize::from(down)].lock().clone();
        took.sort();
        (took.len(), took.get(took.len() * 99 / 100).copied().unwrap_or_default())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_a_broker_that_is_away_loses_nothing() {
    if !has_services() {
        return;
    }
    let Some(mut broker) = OwnRabbit::start().await else { return };
    Listener::new(broker.port).await.set_up().await;
    let wire = Wire::to(([127, 0, 0, 1], broker.port).into()).await;
    let url = OwnRabbit::url(wire.address.port());
    let settings = [("events.rabbitmq.url", url.as_str()), ("events.rabbitmq.timeout", "2s")];
    let mut app = TestApp::today(Backend::Shared, &settings).await;
    let (_, database) = app.settings.iter().find(|(name, _)| name == "database.url").unwrap();
    let store = Store::connect(database, 2).await.unwrap();
    let Store::Postgres(pool) = &store else { unreachable!() };
    let holder = async || {
        let held = sqlx::query_scalar("SELECT holder FROM leases WHERE name = 'relay'").fetch_optional(pool);
        held.await.unwrap().unwrap_or_else(uuid::Uuid::nil)
    };

    // The one that will die relays: it is there alone when the first one gives the lease back.
    let doomed = Program::start(&app.settings);
    let nodes = [doomed.address().await, String::new()];
    app.nodes.pop().unwrap().stop().await;
    until("the node relays", Duration::from_secs(30), async || !holder().await.is_nil()).await;
    let first_holder = holder().await;
    let survivor = Program::start(&app.settings);
    let nodes = [nodes[0].clone(), survivor.address().await];
    let channels: Arc<[_]> = nodes
        .into_iter()
        .map(|node| Endpoint::from_shared(node).unwrap().timeout(Duration::from_secs(5)).connect_lazy())
        .collect();
    let load = Arc::new(Load::default());
    let api_key = survivor.api_key();
    let operators = (0..OPERATORS).map(|operator| {
        let (load, channels, api_key) = (Arc::clone(&load), Arc::clone(&channels), api_key.clone());
        tokio::spawn(async move { load.run(&channels, &api_key, operator).await })
    });
    let operators: Vec<_> = operators.collect();

    let away = Duration::from_secs(figure(600, 6) as u64);
    sleep(Duration::from_secs(3)).await;
    load.is_down.store(true, Ordering::SeqCst);
    broker.kill();
    let down_since = Instant::now();
    sleep(away / 2).await;
    drop(doomed);
    sleep(away / 2).await;
    let waiting = number(&store, "SELECT COUNT(*) FROM deliveries", &[]).await;
    broker.start_again().await;
    let down = down_since.elapsed();
    load.is_down.store(false, Ordering::SeqCst);
    until("the other node relays", Duration::from_secs(30), async || holder().await != first_holder).await;
    // The broker is there, and the way to it is bad: confirmations are lost, nothing comes through, nothing is connected.
    for spoil in [Wire::lose_answers as fn(&Wire), Wire::swallow, Wire::cut] {
        sleep(Duration::from_secs(2)).await;
        spoil(&wire);
        sleep(Duration::from_secs(2)).await;
        wire.mend();
    }
    load.ends.store(true, Ordering::SeqCst);
    join_all(operators).await.into_iter().for_each(Result::unwrap);
    let caught_up = until("everything has gone out", Duration::from_mins(2), async || {
        let left =
            "SELECT (SELECT COUNT(*) FROM deliveries) + (SELECT COUNT(*) FROM events WHERE outbox_seq IS NOT NULL)";
        number(&store, left, &[]).await == 0
    })
    .await;

    let told = Listener::new(broker.port).await.take().await;
    let happened: Vec<(uuid::Uuid, Option<uuid::Uuid>, String)> =
        sqlx::query_as("SELECT id, account_id, kind FROM events ORDER BY at, id").fetch_all(pool).await.unwrap();
    let accounts = by_account(&told);
    let arrived: std::collections::HashSet<_> = told.iter().map(|told| told.id.clone()).collect();
    let lost = happened.iter().filter(|(id, ..)| !arrived.contains(&id.to_string())).count();
    let mut reordered = 0;
    for (account, told) in accounts.iter().filter(|(account, _)| !account.is_empty()) {
        let in_order = happened.iter().filter(|(_, about, _)| about.is_some_and(|id| id.to_string() == *account));
        let in_order: Vec<_> = in_order.map(|(id, _, kind)| (id.to_string(), kind.clone())).collect();
        let told: Vec<_> = told.iter().map(|told| (told.id.clone(), told.kind.clone())).collect();
        reordered += usize::from(in_order != told);
    }
    let ((up_calls, up), (down_calls, slow)) = (load.figures(false), load.figures(true));
    eprintln!(
        "F5: {} events of {} accounts, broker away for {down:.1?} and a node killed: {lost} lost, {reordered} accounts out of \
         order, {} sent again; {waiting} waited, caught up in {caught_up:.1?}; calls p99 {up:.1?} ({up_calls}) with the broker, \
         {slow:.1?} ({down_calls}) without",
        happened.len(),
        accounts.len(),
        told.len() - arrived.len(),
    );
    assert_eq!((lost, reordered, arrived.len()), (0, 0, happened.len()));
    assert!(waiting > 0 && down_calls > 0, "nothing happened while the broker was away");
    assert!(told.len() > arrived.len(), "no confirmation was lost");
    assert!(slow < up * 3 + Duration::from_millis(500), "calls wait for the broker: {slow:?} instead of {up:?}");
}
