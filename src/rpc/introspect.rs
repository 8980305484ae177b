//! `Introspect` and `BatchIntrospect`. What memory can answer is answered in one go: a message is read where it lies, and its
//! answer is written once.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use http::Request;
use tonic::Status;
use tonic::body::Body;

use super::unary::{self, Outgoing};
use super::validate::Faults;
use super::{MAX_BATCH, MAX_MESSAGE, convert, status};
use crate::app::App;
use crate::proto::{Demanded, Introspection, Malformed, Passing, Question, Questions};
use crate::token::{Answer, Demands, Inactive, Known, MAX_COMPACT_BYTES};

/// How many tokens a batch may have.
const MAX_TOKENS: usize = 1_000;
/// How many scopes may be demanded.
const MAX_SCOPES: usize = 32;
/// What is set aside for one answer of a batch, in bytes. Most are smaller.
const ANSWER: usize = 512;
/// How much of a batch is judged before others on this thread go in between. A remembered token takes a fraction of a
/// microsecond, any other some hundreds of times as long.
const TURN: usize = 256;
const NEW_TOKEN: usize = 16;

/// Answers `Introspect`.
pub(super) async fn introspect(app: &App, request: Request<Body>) -> Result<Bytes, Status> {
    let message = unary::read(request, MAX_MESSAGE).await?;
    let Question { token, demanded } = Question::read(&message)?;
    let mut faults = Faults::default();
    faults.token("token", token, MAX_COMPACT_BYTES);
    let demands = demands(&demanded, &mut faults);
    faults.none()?;

    let moment = app.access.moment();
    let (verdict, common) = match app.access.recall(token, demands, &moment) {
        Some(verdict) => (verdict, Common::of(app, moment.now, moment.as_of)),
        None => {
            drop(moment);
            let Answer { verdict, as_of } = app.access.introspect(text(token)?, demands).await?;
            (verdict, Common::of(app, app.clock.now(), as_of))
        }
    };
    let introspection = common.introspection(&verdict);
    let mut outgoing = Outgoing::with_capacity(introspection.encoded_len());
    introspection.encode(outgoing.buffer());
    Ok(outgoing.framed())
}

/// Answers `BatchIntrospect`.
pub(super) async fn batch_introspect(app: &App, request: Request<Body>) -> Result<Bytes, Status> {
    let message = unary::read(request, MAX_BATCH).await?;
    let Questions { tokens, demanded } = Questions::read(&message)?;
    let mut faults = Faults::default();
    if tokens.is_empty() || tokens.len() > MAX_TOKENS {
        faults.add("tokens", format_args!("must be from 1 to {MAX_TOKENS}"));
    }
    for (index, token) in tokens.iter().enumerate().take(MAX_TOKENS) {
        if token.is_empty() || token.len() > MAX_COMPACT_BYTES {
            faults.token(&format!("tokens[{index}]"), token, MAX_COMPACT_BYTES);
        }
    }
    let demands = demands(&demanded, &mut faults);
    faults.none()?;

    let mut outgoing = Outgoing::with_capacity(tokens.len() * ANSWER);
    let mut rest = tokens.as_slice();
    let mut spent = 0;
    loop {
        let answered = recall(app, rest, demands, &mut outgoing);
        rest = &rest[answered..];
        spent += answered;
        let Some((token, behind)) = rest.split_first() else { return Ok(outgoing.framed()) };
        if answered < TURN {
            let Answer { verdict, as_of } = app.access.introspect(text(token)?, demands).await?;
            let common = Common::of(app, app.clock.now(), as_of);
            common.introspection(&verdict).encode_in_batch(outgoing.buffer());
            rest = behind;
            spent += NEW_TOKEN;
        }
        if spent >= TURN {
            tokio::task::yield_now().await;
            spent = 0;
        }
    }
}

/// Answers tokens from memory: up to the first for which memory does not suffice, and not more than one turn. Says how many.
fn recall(app: &App, tokens: &[&[u8]], demands: Demands<'_>, outgoing: &mut Outgoing) -> usize {
    let moment = app.access.moment();
    let common = Common::of(app, moment.now, moment.as_of);
    let mut answered = 0;
    for token in tokens.iter().take(TURN) {
        let Some(verdict) = app.access.recall(token, demands, &moment) else { break };
        common.introspection(&verdict).encode_in_batch(outgoing.buffer());
        answered += 1;
    }
    answered
}

/// What answers that are given at one moment have in common.
struct Common {
    /// In seconds since the epoch.
    now: i64,
    as_of: prost_types::Timestamp,
    bound: TimeDelta,
    /// For tokens that live on for the whole bound, as nearly all do.
    usual: Passing,
}

impl Common {
    fn of(app: &App, now: DateTime<Utc>, as_of: DateTime<Utc>) -> Self {
        let (as_of, bound) = (convert::timestamp(as_of), app.access.bound());
        Self { now: now.timestamp(), as_of, bound, usual: Passing::new(Some(convert::duration(bound)), as_of) }
    }

    fn introspection<'k>(&self, verdict: &'k Result<Arc<Known>, Inactive>) -> Introspection<'k> {
        let Ok(known) = verdict else {
            return Introspection { lasting: &[], expires_in: 0, passing: Passing::new(None, self.as_of) };
        };
        let expires_in = (known.claims.exp - self.now).max(0);
        let left = TimeDelta::seconds(expires_in);
        let passing =
            if left < self.bound { Passing::new(Some(convert::duration(left)), self.as_of) } else { self.usual };
        Introspection { lasting: convert::lasting(known), expires_in, passing }
    }
}

fn demands<'a>(demanded: &'a Demanded, faults: &mut Faults) -> Demands<'a> {
    let Demanded { audience, required_scopes: scopes } = demanded;
    faults.text("audience", audience, 256);
    if scopes.len() > MAX_SCOPES {
        faults.add("required_scopes", format_args!("must be at most {MAX_SCOPES}"));
    }
    Demands { audience: Some(audience.as_str()).filter(|audience| !audience.is_empty()), scopes }
}

/// A token that is not remembered, and so may be anything.
fn text(token: &[u8]) -> Result<&str, Status> {
    str::from_utf8(token).map_err(|_| status::malformed())
}

impl From<Malformed> for Status {
    fn from(_: Malformed) -> Self {
        status::malformed()
    }
}
