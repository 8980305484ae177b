//! One revocation, told to a thousand who watch.

use std::time::Instant;

use countersign::clock::Clock;
use countersign::proto::v1::blacklist_request::Target;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::watch_revocations_response::Event;
use countersign::proto::v1::{BlacklistRequest, WatchRevocationsRequest, WatchRevocationsResponse};
use countersign::random::Random;
use futures_util::future::try_join_all;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use crate::Result;
use crate::figures::{Figure, Report};
use crate::histogram::Histogram;
use crate::rounds::Plan;
use crate::server::Server;

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["watch_fanout"];

const WATCHERS: usize = 1_000;
/// On so many connections, as services would have them.
const CONNECTIONS: usize = 50;
/// Revocations in each round.
const REVOCATIONS: usize = 20;

/// Takes one token back after another, and looks when the last of all watchers has been told.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let server = Server::embedded(core).await?;
    let key = server.api_key()?;
    let mut watchers = Vec::with_capacity(WATCHERS);
    for _ in 0..CONNECTIONS {
        let channel = Endpoint::from_shared(server.url())?.connect().await?;
        for _ in 0..WATCHERS / CONNECTIONS {
            watchers.push(watch(channel.clone(), &key).await?);
        }
    }
    let tokens = TokenServiceClient::new(server.channel.clone());
    let (mut told, mut acknowledged) = (Histogram::new(), Histogram::new());
    for _ in 0..plan.rounds * REVOCATIONS {
        let id = Random.id(Clock::System.now());
        let request = BlacklistRequest { target: Some(Target::TokenId(id.to_string())), ..Default::default() };
        let request = with_key(request, &key)?;
        let mut tokens = tokens.clone();
        let began = Instant::now();
        let call = async {
            tokens.blacklist(request).await?;
            acknowledged.record(began.elapsed());
            Result::Ok(())
        };
        let all = try_join_all(watchers.iter_mut().map(until_told));
        let (call, all) = tokio::join!(call, all);
        call?;
        all?;
        told.record(began.elapsed());
    }
    let millis = |histogram: &Histogram, percent| histogram.percentile(percent).as_secs_f64() * 1e3;
    report.add(Figure::new("watch_fanout", millis(&told, 99), "ms").remark(Some(format!(
        "from the call to the last of {WATCHERS} watchers: p50 {:.1} ms, p99 as given; to its own answer: p50 {:.1} ms",
        millis(&told, 50),
        millis(&acknowledged, 50),
    ))));
    Ok(())
}

fn with_key<T>(message: T, key: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-api-key", MetadataValue::try_from(key)?);
    Ok(request)
}

/// Begins to watch, and takes the snapshot in.
async fn watch(channel: Channel, key: &str) -> Result<Streaming<WatchRevocationsResponse>> {
    let request = with_key(WatchRevocationsRequest::default(), key)?;
    let mut stream = TokenServiceClient::new(channel).watch_revocations(request).await?.into_inner();
    while !matches!(next(&mut stream).await?, Event::Checkpoint(_)) {}
    Ok(stream)
}

async fn until_told(stream: &mut Streaming<WatchRevocationsResponse>) -> Result<()> {
    while !matches!(next(stream).await?, Event::Revocation(_)) {}
    Ok(())
}

async fn next(stream: &mut Streaming<WatchRevocationsResponse>) -> Result<Event> {
    let message = stream.message().await?.ok_or("a watcher was told nothing more")?;
    Ok(message.event.ok_or("a watcher was told nothing")?)
}
