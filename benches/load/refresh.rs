//! Refreshing on PostgreSQL, beside the least that any refresh must do there: one UPDATE of one row by its primary key.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use countersign::clock::Clock;
use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::{RefreshRequest, Tokens};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::database::Database;
use crate::figures::{Budget, Figure, Report};
use crate::rounds::{Plan, median, repeat};
use crate::server::Server;
use crate::{Result, people};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["refresh_postgres", "bare_update_postgres"];

/// How many refresh at a time, each a session of its own: as many as there are connections, so that none waits for one.
const CONCURRENCY: usize = 16;
/// The server's default, and what the bare statement gets too.
const POOL: u32 = 16;

/// What the server's own statement writes and returns, without its conditions and without the roles.
const BARE: &str =
    "UPDATE sessions SET generation = generation + 1, rotated_at = $2, rotated_by = NULL, last_used_at = $2,
     ip = $3, expires_at = $4, access_expires_at = $5 WHERE id = $1 RETURNING *";

/// Signs people in on a database of their own, and lets half of the sessions be refreshed through the server and the other
/// half by the bare statement, in turns.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let database = Database::create().await?;
    let outcome = compare(core, plan, &database.url).await;
    database.drop().await?;
    let (refreshes, updates) = outcome?;
    let ratios = refreshes.iter().zip(&updates).map(|(refresh, update)| refresh / update).collect();
    report.add(
        Figure::new("refresh_postgres", median(refreshes), "calls/s")
            .ratio(median(ratios))
            .budget(Budget::AtLeast(0.7))
            .remark(Some(format!("{CONCURRENCY} at a time, fsync on"))),
    );
    report.add(Figure::new("bare_update_postgres", median(updates), "rows/s"));
    Ok(())
}

/// The rates of both, round by round.
async fn compare(core: usize, plan: Plan, url: &str) -> Result<(Vec<f64>, Vec<f64>)> {
    let server = Server::on(core, url, &[]).await?;
    let mut tokens = people::sign_in(&server, 2 * CONCURRENCY).await?;
    let mut rows = tokens.split_off(CONCURRENCY).iter().map(session).collect::<Result<Vec<_>>>()?;
    let client = TokenServiceClient::new(server.channel.clone());
    let pool = PgPoolOptions::new().max_connections(POOL).test_before_acquire(false).connect(url).await?;

    let (mut refreshes, mut updates) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let rate;
        (rate, rows) = repeat(rows, plan.window, |row| update(&pool, row)).await?;
        updates.push(rate);
        let rate;
        (rate, tokens) = repeat(tokens, plan.window, |tokens| refresh(client.clone(), tokens)).await?;
        refreshes.push(rate);
    }
    pool.close().await;
    Ok((refreshes, updates))
}

/// Exchanges a refresh token for its successor.
async fn refresh(mut client: TokenServiceClient<Channel>, Tokens { refresh_token, .. }: Tokens) -> Result<Tokens> {
    let answer = client.refresh(RefreshRequest { refresh_token, ..Default::default() }).await?;
    Ok(answer.into_inner().tokens.ok_or("no tokens in the answer")?)
}

/// Moves a session on without asking whether it may.
async fn update(pool: &PgPool, id: Uuid) -> Result<Uuid> {
    let now = Clock::System.now();
    sqlx::query(BARE)
        .bind(id)
        .bind(now)
        .bind("127.0.0.1")
        .bind(now + TimeDelta::days(30))
        .bind(now + TimeDelta::minutes(5))
        .fetch_one(pool)
        .await?;
    Ok(id)
}

/// The session that an access token belongs to, as it says itself.
fn session(tokens: &Tokens) -> Result<Uuid> {
    let claims = tokens.access_token.split('.').nth(1).ok_or("an access token without claims")?;
    let claims: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    Ok(claims["sid"].as_str().ok_or("an access token without a session")?.parse()?)
}
