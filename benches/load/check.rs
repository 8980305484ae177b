//! A gateway's question for each request that it lets through: as Envoy asks it, beside an echo of the same sizes.

use std::collections::HashMap;

use countersign::proto::envoy::service::auth::v3::CheckResponse;
use countersign::proto::envoy::service::auth::v3::check_response::HttpResponse;
use countersign::proto::v1::Tokens;
use prost::Message;

use crate::Result;
use crate::figures::{Budget, Figure, Report};
use crate::people;
use crate::request::{Load, framed};
use crate::rounds::{Plan, interleaved};
use crate::server::Server;
use crate::unary::{CONNECTIONS, CPU, Echoes, P99, RATE, STREAMS};

/// What is measured here.
pub(crate) const FIGURES: &[&str] = &["check_ext_authz", "check_ext_authz_cpu", "check_ext_authz_p99"];

/// How many people's requests are asked about in turn.
const PEOPLE: usize = 1000;
/// The answer tells a subject, a session and more; a refusal has fewer bytes.
const AT_LEAST: usize = 300;

/// Signs people in and asks about their requests, over and over.
pub(crate) async fn measure(core: usize, plan: Plan, report: &mut Report) -> Result<()> {
    let server = Server::embedded(core).await?;
    let tokens = people::sign_in(&server, PEOPLE).await?;
    let target = server.target(questions(&server, &tokens)?);
    let answer = size_of_an_answer(&server, &tokens.first().ok_or("nobody has signed in")?.access_token).await?;
    let echoes = Echoes::start(core, &target.load, answer)?;
    let [lean, _] = echoes.targets();
    let [seen, lean] = interleaved([&target, &lean], plan).await?;
    report.add(
        Figure::new("check_ext_authz", seen.median(RATE), "calls/s")
            .ratio(seen.ratio(&lean, RATE))
            .budget(Budget::AtLeast(0.8))
            .remark(seen.remark()),
    );
    report.add(Figure::new("check_ext_authz_cpu", seen.median(CPU), "us/call").ratio(seen.ratio(&lean, CPU)));
    report.add(
        Figure::new("check_ext_authz_p99", seen.median(P99), "us")
            .ratio(seen.ratio(&lean, P99))
            .remark(Some(format!("questions of {} bytes, answers of {answer}", target.load.bodies[0].len() - 5))),
    );
    Ok(())
}

/// What a gateway asks about these people's requests.
pub(crate) fn questions(server: &Server, tokens: &[Tokens]) -> Result<Load> {
    Ok(Load {
        path: "/envoy.service.auth.v3.Authorization/Check",
        bearer: server.api_key()?,
        bodies: tokens.iter().map(|tokens| framed(&Question::about(&tokens.access_token))).collect(),
        at_least: AT_LEAST,
        accept: passes,
        connections: CONNECTIONS,
        streams: STREAMS,
        every: None,
    })
}

fn passes(message: &[u8]) -> bool {
    CheckResponse::decode(message).is_ok_and(|answer| matches!(answer.http_response, Some(HttpResponse::OkResponse(_))))
}

/// Asks once, by hand.
async fn size_of_an_answer(server: &Server, token: &str) -> Result<usize> {
    use countersign::proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Asked};
    use countersign::proto::envoy::service::auth::v3::authorization_client::AuthorizationClient;
    use countersign::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest};
    let headers = HashMap::from([("authorization".to_owned(), format!("Bearer {token}"))]);
    let http = Some(HttpRequest { headers, ..Default::default() });
    let attributes = Some(AttributeContext { request: Some(Asked { http }), ..Default::default() });
    let mut request = tonic::Request::new(CheckRequest { attributes });
    request.metadata_mut().insert("x-api-key", server.api_key()?.parse()?);
    let answer = AuthorizationClient::new(server.channel.clone()).check(request).await?;
    Ok(answer.get_ref().encoded_len())
}

// The messages as Envoy fills them in, also where the server does not look.

#[derive(Clone, PartialEq, Message)]
struct Question {
    #[prost(message, tag = "1")]
    attributes: Option<Attributes>,
}

#[derive(Clone, PartialEq, Message)]
struct Attributes {
    #[prost(message, tag = "1")]
    source: Option<Peer>,
    #[prost(message, tag = "2")]
    destination: Option<Peer>,
    #[prost(message, tag = "4")]
    request: Option<Timed>,
    #[prost(map = "string, string", tag = "10")]
    context_extensions: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct Peer {
    #[prost(message, tag = "1")]
    address: Option<Address>,
}

#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(message, tag = "1")]
    socket: Option<Socket>,
}

#[derive(Clone, PartialEq, Message)]
struct Socket {
    #[prost(string, tag = "2")]
    address: String,
    #[prost(uint32, tag = "3")]
    port: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Timed {
    #[prost(message, tag = "1")]
    time: Option<prost_types::Timestamp>,
    #[prost(message, tag = "2")]
    http: Option<Http>,
}

#[derive(Clone, PartialEq, Message)]
struct Http {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    method: String,
    #[prost(map = "string, string", tag = "3")]
    headers: HashMap<String, String>,
    #[prost(string, tag = "4")]
    path: String,
    #[prost(string, tag = "5")]
    host: String,
    #[prost(string, tag = "6")]
    scheme: String,
    #[prost(string, tag = "10")]
    protocol: String,
}

impl Question {
    /// A browser's request with this token.
    fn about(token: &str) -> Self {
        let peer = |address: &str, port| {
            let socket = Some(Socket { address: address.to_owned(), port });
            Some(Peer { address: Some(Address { socket }) })
        };
        let headers = [
            (":authority", "app.example.com"),
            (":method", "GET"),
            (":path", "/orders/4711?expand=lines"),
            (":scheme", "https"),
            ("accept", "application/json, text/plain, */*"),
            ("accept-encoding", "gzip, deflate, br"),
            ("accept-language", "en-GB,en;q=0.9"),
            ("authorization", &format!("Bearer {token}")),
            ("referer", "https://app.example.com/orders"),
            (
                "user-agent",
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36",
            ),
            ("x-forwarded-for", "192.0.2.17"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "5f0f9ae2-7d0a-4a51-9a39-2f3b5c0f6d11"),
        ];
        let http = Http {
            id: "1234567890123456789".to_owned(),
            method: "GET".to_owned(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            path: "/orders/4711?expand=lines".to_owned(),
            host: "app.example.com".to_owned(),
            scheme: "https".to_owned(),
            protocol: "HTTP/2".to_owned(),
        };
        let time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 123_456_789 });
        Self {
            attributes: Some(Attributes {
                source: peer("192.0.2.17", 51_234),
                destination: peer("198.51.100.4", 443),
                request: Some(Timed { time, http: Some(http) }),
                context_extensions: HashMap::from([("audience".to_owned(), "countersign".to_owned())]),
            }),
        }
    }
}
