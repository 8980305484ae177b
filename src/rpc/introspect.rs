//! `Introspect` and `BatchIntrospect`, which gateways call for every request that they let through. So they are served right
//! behind the gate, past the router and the generated server, and what memory can answer is answered in one go: a message is
//! read where it lies, and its answer is written once.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::unary::{self, Outgoing};
use super::validate::Faults;
use super::{MAX_BATCH, MAX_MESSAGE, convert, status};
use crate::app::App;
use crate::proto::{Demanded, Introspection, Malformed, Question, Questions};
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

/// What is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Introspect,
    BatchIntrospect,
}

impl Method {
    /// The one that is called by a path, if it is one of them.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/countersign.v1.TokenService/Introspect" => Some(Self::Introspect),
            "/countersign.v1.TokenService/BatchIntrospect" => Some(Self::BatchIntrospect),
            _ => None,
        }
    }
}

/// Answers a call that has passed the gate.
pub(super) async fn answer(app: Arc<App>, method: Method, request: Request<Body>) -> Response<Body> {
    let answered = match method {
        Method::Introspect => introspect(&app, request).await,
        Method::BatchIntrospect => batch_introspect(&app, request).await,
    };
    answered.map_or_else(Status::into_http, Outgoing::into_response)
}

async fn introspect(app: &App, request: Request<Body>) -> Result<Outgoing, Status> {
    let message = unary::read(request, MAX_MESSAGE).await?;
    let Question { token, demanded } = Question::read(&message)?;
    let mut faults = Faults::default();
    faults.token("token", token, MAX_COMPACT_BYTES);
    let demands = demands(&demanded, &mut faults);
    faults.none()?;

    let moment = app.access.moment();
    if let Some(verdict) = app.access.recall(token, demands, &moment) {
        return Ok(alone(&introspection(app, &verdict, moment.now, moment.as_of)));
    }
    let Answer { verdict, as_of } = app.access.introspect(text(token)?, demands).await?;
    Ok(alone(&introspection(app, &verdict, app.clock.now(), as_of)))
}

async fn batch_introspect(app: &App, request: Request<Body>) -> Result<Outgoing, Status> {
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
    let mut moment = app.access.moment();
    let mut spent = 0;
    for token in tokens {
        if spent >= TURN {
            tokio::task::yield_now().await;
            (moment, spent) = (app.access.moment(), 0);
        }
        if let Some(verdict) = app.access.recall(token, demands, &moment) {
            introspection(app, &verdict, moment.now, moment.as_of).encode_in_batch(outgoing.buffer());
            spent += 1;
        } else {
            let Answer { verdict, as_of } = app.access.introspect(text(token)?, demands).await?;
            moment = app.access.moment();
            introspection(app, &verdict, moment.now, as_of).encode_in_batch(outgoing.buffer());
            spent += NEW_TOKEN;
        }
    }
    Ok(outgoing)
}

/// An answer by itself.
fn alone(introspection: &Introspection<'_>) -> Outgoing {
    let mut outgoing = Outgoing::with_capacity(introspection.encoded_len());
    introspection.encode(outgoing.buffer());
    outgoing
}

fn introspection<'k>(
    app: &App,
    verdict: &'k Result<Arc<Known>, Inactive>,
    now: DateTime<Utc>,
    as_of: DateTime<Utc>,
) -> Introspection<'k> {
    match verdict {
        Ok(known) => convert::introspection(known, now, as_of, app.access.bound()),
        Err(_) => convert::inactive(as_of),
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
