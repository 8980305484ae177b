//! Introspection, which gateways call for every request that they let through: one token at a time beside two echoes of the
//! same sizes, and a thousand at a time beside one.

use countersign::proto::v1::token_service_client::TokenServiceClient;
use countersign::proto::v1::{
    BatchIntrospectRequest, BatchIntrospectResponse, IntrospectRequest, IntrospectResponse, Tokens,
};
use prost::Message;
use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::figures::{Budget, Figure, Report};
use crate::request::{Load, framed};
use crate::rounds::{Plan, interleaved};
use crate::server::Server;
use crate::unary::{CONNECTIONS, CPU, Echoes, P99, RATE, STREAMS};
use crate::{Result, people};

/// What is measured here.
pub(crate) const FIGURES: &[&str] =
    &["introspect", "introspect_cpu", "introspect_p99", "introspect_vs_default_runtime", "batch_introspect"];

/// How many tokens are asked about in turn, which is also the size of a batch.
pub(crate) const TOKENS: u32 = 1000;
const BATCH_CONNECTIONS: usize = 4;
const BATCH_STREAMS: usize = 2;

/// Signs people in and asks about their tokens, over and over.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let server = Server::embedded(core).await?;
    let questions = Questions::ask(&server).await?;
    let unary = questions.unary();
    let echoes = Echoes::start(core, &unary, questions.answer)?;
    let [lean, default] = echoes.targets();
    let unary = server.target(unary);
    let [seen, lean, default] = interleaved([&unary, &lean, &default], plan).await?;
    report.add(
        Figure::new("introspect", seen.median(RATE), "calls/s")
            .ratio(seen.ratio(&lean, RATE))
            .budget(Budget::AtLeast(0.85))
            .remark(seen.remark()),
    );
    // The same budget by CPU time: rates of servers that did not have the whole core compare what the machine gave to each.
    report.add(
        Figure::new("introspect_cpu", seen.median(CPU), "us/call")
            .ratio(seen.ratio(&lean, CPU))
            .budget(Budget::AtMost(1.18)),
    );
    report.add(
        Figure::new("introspect_p99", seen.median(P99), "us")
            .ratio(seen.ratio(&lean, P99))
            .budget(Budget::AtMost(1.5))
            .remark(Some(seen.p50())),
    );
    report.add(
        Figure::new("introspect_vs_default_runtime", seen.median(RATE), "calls/s")
            .ratio(seen.ratio(&default, RATE))
            .budget(Budget::AtLeast(1.0)),
    );
    Echoes::report(&lean, &default, report);
    drop(echoes);

    let batch = server.target(questions.batch());
    let [batch, unary] = interleaved([&batch, &unary], plan).await?;
    let tokens = f64::from(TOKENS);
    report.add(
        Figure::new("batch_introspect", batch.median(RATE) * tokens, "tokens/s")
            .ratio(batch.ratio(&unary, RATE) * tokens)
            .budget(Budget::AtLeast(20.0))
            .remark(batch.remark()),
    );
    Ok(())
}

/// Tokens, a key to ask about them with, and the size of an answer.
pub(crate) struct Questions {
    bearer: String,
    tokens: Vec<String>,
    pub(crate) answer: usize,
}

impl Questions {
    /// Signs people in, and asks about one of their tokens.
    pub(crate) async fn ask(server: &Server) -> Result<Self> {
        Self::about(server, people::sign_in(server, TOKENS as usize).await?).await
    }

    /// Asks about one of these tokens.
    pub(crate) async fn about(server: &Server, people: Vec<Tokens>) -> Result<Self> {
        let bearer = server.api_key()?;
        let tokens: Vec<_> = people.into_iter().map(|tokens| tokens.access_token).collect();
        let token = tokens.first().ok_or("nobody has signed in")?.clone();

        let mut request = Request::new(IntrospectRequest { token, ..Default::default() });
        request.metadata_mut().insert("authorization", MetadataValue::try_from(format!("Bearer {bearer}"))?);
        let answer = TokenServiceClient::new(server.channel.clone()).introspect(request).await?;
        Ok(Self { bearer, tokens, answer: answer.get_ref().encoded_len() })
    }

    /// One token at a time.
    pub(crate) fn unary(&self) -> Load {
        let question = |token: &String| framed(&IntrospectRequest { token: token.clone(), ..Default::default() });
        Load {
            path: "/countersign.v1.TokenService/Introspect",
            bearer: self.bearer.clone(),
            bodies: self.tokens.iter().map(question).collect(),
            // The word that a token is not active is far shorter.
            at_least: self.answer / 2,
            accept: |message| IntrospectResponse::decode(message).is_ok_and(|answer| answer.active),
            connections: CONNECTIONS,
            streams: STREAMS,
            every: None,
        }
    }

    /// All at once.
    pub(crate) fn batch(&self) -> Load {
        Load {
            path: "/countersign.v1.TokenService/BatchIntrospect",
            bodies: vec![framed(&BatchIntrospectRequest { tokens: self.tokens.clone(), ..Default::default() })],
            at_least: self.answer / 2 * self.tokens.len(),
            accept: |message| {
                BatchIntrospectResponse::decode(message)
                    .is_ok_and(|batch| batch.results.iter().all(|answer| answer.active))
            },
            connections: BATCH_CONNECTIONS,
            streams: BATCH_STREAMS,
            ..self.unary()
        }
    }
}
