//! How soon after its acknowledgement a revocation counts on other nodes: three of them on one PostgreSQL and one Redis.

use std::time::Duration;

use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::{IntrospectRequest, RevokeRequest};
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::database::Database;
use crate::figures::{Budget, Figure, Report};
use crate::histogram::Histogram;
use crate::server::Server;
use crate::{Result, people, services};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["revocation_propagation", "revocation_propagation_p99"];

/// How many tokens are taken back, one after the other.
const REVOCATIONS: usize = 1_000;
const QUICK: usize = 200;
/// No revocation takes longer, whatever happens: `revocation.bound`.
const BOUND: Duration = Duration::from_secs(5);

/// Takes tokens back on one node and asks the two others until both refuse them.
pub(crate) async fn measure(core: usize, quick: bool, report: &mut Report) -> Result<()> {
    let database = Database::create().await?;
    let outcome = propagate(core, if quick { QUICK } else { REVOCATIONS }, &database.url).await;
    database.drop().await?;
    let seen = outcome?;
    let at = |percent| seen.percentile(percent).as_secs_f64() * 1e3;
    report.add(
        Figure::new("revocation_propagation", at(50), "ms")
            .remark(Some("p50, until the two others of three nodes on one core refuse it".to_owned())),
    );
    report.add(
        Figure::new("revocation_propagation_p99", at(99), "ms").budget(Budget::AtMost(50.0)).remark(Some(format!(
            "max {:.1} ms, {} revocations",
            at(100),
            seen.total() / 2
        ))),
    );
    Ok(())
}

async fn propagate(core: usize, count: usize, database: &str) -> Result<Histogram> {
    let redis = services::url(services::REDIS)?;
    // Keys are left behind; they expire by themselves.
    let prefix = format!("countersign_bench_{}_nodes", std::process::id());
    let settings = [("COUNTERSIGN__CACHE__URL", redis.as_str()), ("COUNTERSIGN__CACHE__KEY_PREFIX", &prefix)];
    let first = Server::on(core, database, &settings).await?;
    let bearer = first.api_key()?;
    let (second, third) = (Server::on(core, database, &settings).await?, Server::on(core, database, &settings).await?);

    let mut seen = Histogram::new();
    for tokens in people::sign_in(&first, count).await? {
        let token = tokens.access_token;
        for server in [&first, &second, &third] {
            if !is_active(server, &bearer, &token).await? {
                return Err("a token that nobody has taken back is refused".into());
            }
        }
        let request = signed(RevokeRequest { token: token.clone(), ..Default::default() }, &bearer)?;
        TokenServiceClient::new(first.channel.clone()).revoke(request).await?;
        let acknowledged = Instant::now();
        let (here, second, third) = tokio::try_join!(
            is_active(&first, &bearer, &token),
            refused_after(&second, &bearer, &token, acknowledged),
            refused_after(&third, &bearer, &token, acknowledged),
        )?;
        if here {
            return Err("a node accepts what it has taken back itself".into());
        }
        seen.record(second);
        seen.record(third);
    }
    Ok(seen)
}

/// Asks without a pause. The last question and its answer are part of the time.
async fn refused_after(server: &Server, bearer: &str, token: &str, acknowledged: Instant) -> Result<Duration> {
    while is_active(server, bearer, token).await? {
        if acknowledged.elapsed() > BOUND {
            return Err(format!("a revocation does not count after {BOUND:?}").into());
        }
    }
    Ok(acknowledged.elapsed())
}

async fn is_active(server: &Server, bearer: &str, token: &str) -> Result<bool> {
    let request = signed(IntrospectRequest { token: token.to_owned(), ..Default::default() }, bearer)?;
    Ok(TokenServiceClient::new(server.channel.clone()).introspect(request).await?.get_ref().active)
}

fn signed<T>(message: T, bearer: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {bearer}"))?);
    Ok(request)
}
