//! Nothing secret and nothing of people stands in what operators see (N6): whatever is sent in whichever field of whichever RPC, in
//! whichever header.

use countersign::proto::{DESCRIPTORS, v1};
use countersign::store::Store;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Request;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use super::Running;
use super::sink::Sink;
use crate::access::raw;
use crate::harness::{Backend, figure, on_both_backends, phone_number};

on_both_backends!(n6_no_canary_is_ever_seen);

/// What must not be seen, and the part of it that is like nothing else.
struct Canary {
    text: String,
    mark: String,
}

impl Canary {
    fn new(number: usize) -> Self {
        // Digits by themselves must be many: times are made of digits too.
        let (word, digits) = (format!("zq{number:05}qz"), format!("91270{number:05}"));
        let (text, mark) = match number % 8 {
            0 => (format!("+98{digits}"), digits),
            1 => (format!("0{digits}"), digits),
            2 => (digits.clone(), digits),
            3 => (format!("pass {word} wörd!"), word),
            4 => (format!("eyJhbGciOiJFUzI1NiJ9.{word}.c2ln"), word),
            5 => (format!("csk_{word}{}", "k".repeat(34)), word),
            6 => (format!("canary{word}@example.org"), word),
            _ => (format!("first\r\nsecond {word}\u{1b}[31m\0"), word),
        };
        Self { text, mark }
    }

    /// As far as it can stand in a header.
    fn header(&self) -> AsciiMetadataValue {
        let text: String = self.text.chars().filter(|character| (' '..='~').contains(character)).collect();
        text.parse().unwrap()
    }
}

/// The contract, and messages of it with a text in each of their fields.
struct Contract {
    messages: Vec<(String, DescriptorProto)>,
    methods: Vec<(String, String)>,
}

impl Contract {
    fn read() -> Self {
        let files = FileDescriptorSet::decode(DESCRIPTORS).unwrap().file;
        let (mut messages, mut methods) = (Vec::new(), Vec::new());
        for file in &files {
            let package = format!(".{}", file.package());
            let mut open: Vec<_> = file.message_type.iter().map(|message| (package.clone(), message)).collect();
            while let Some((above, message)) = open.pop() {
                let name = format!("{above}.{}", message.name());
                open.extend(message.nested_type.iter().map(|nested| (name.clone(), nested)));
                messages.push((name, message.clone()));
            }
            if package == ".countersign.v1" {
                for service in &file.service {
                    let path = |name: &str| format!("/countersign.v1.{}/{name}", service.name());
                    methods.extend(
                        service.method.iter().map(|method| (path(method.name()), method.input_type().to_owned())),
                    );
                }
            }
        }
        Self { messages, methods }
    }

    /// A message of this type with the text wherever a text can stand. Of what excludes each other, the one that `choice` falls on.
    fn message(&self, name: &str, text: &str, choice: usize, depth: usize) -> Vec<u8> {
        let Some((_, message)) = self.messages.iter().find(|(known, _)| known == name) else { return Vec::new() };
        let mut bytes = Vec::new();
        for field in &message.field {
            let number = u32::try_from(field.number()).unwrap();
            if let Some(of) = field.oneof_index {
                let rivals: Vec<_> = message.field.iter().filter(|rival| rival.oneof_index == Some(of)).collect();
                if rivals[choice % rivals.len()].number != field.number {
                    continue;
                }
            }
            let mut put = |content: &[u8]| {
                encode_key(number, WireType::LengthDelimited, &mut bytes);
                encode_varint(content.len() as u64, &mut bytes);
                bytes.extend_from_slice(content);
            };
            match field.r#type() {
                Type::String | Type::Bytes => put(text.as_bytes()),
                Type::Message if depth < 5 => put(&self.message(field.type_name(), text, choice / 2, depth + 1)),
                Type::Enum | Type::Int32 | Type::Int64 | Type::Bool if field.label() != Label::Repeated => {
                    encode_key(number, WireType::Varint, &mut bytes);
                    encode_varint(1, &mut bytes);
                }
                _ => {}
            }
        }
        bytes
    }
}

/// The text in every header that anybody reads, and in one that nobody does.
fn into_headers(metadata: &mut MetadataMap, canary: &Canary, with_credentials: bool) {
    let value = canary.header();
    for name in ["x-request-id", "traceparent", "tracestate", "x-forwarded-for", "x-custom", "origin", "referer"] {
        metadata.insert(name, value.clone());
    }
    if with_credentials {
        metadata.insert("cookie", format!("__Host-cs-access={}", value.to_str().unwrap()).parse().unwrap());
        metadata.insert("x-api-key", value.clone());
        metadata.insert("authorization", format!("Bearer {}", value.to_str().unwrap()).parse().unwrap());
    }
}

async fn n6_no_canary_is_ever_seen(backend: Backend) {
    let contract = Contract::read();
    let how_many = figure(10_000, 400);
    let mut seen = Vec::new();
    for format in ["text", "json"] {
        let sink = Sink::start().await;
        let settings = [
            ("log.format", format),
            ("log.filter", "debug,countersign=trace"),
            ("otp.length", "10"),
            ("telemetry.traces", "true"),
            ("telemetry.metrics", "true"),
            ("telemetry.logs", "true"),
            ("telemetry.sampling_ratio", "1"),
            ("telemetry.metrics_every", "500ms"),
            ("telemetry.queue", "100000"),
            ("telemetry.endpoint", sink.endpoint.as_str()),
            // Codes are printed by the console, and only there.
            ("notify.sms", "none"),
            ("notify.email", "none"),
        ];
        let running = Running::start(backend, &settings).await;
        let canaries: Vec<_> = (0..how_many).map(Canary::new).collect();
        for (number, canary) in canaries.iter().enumerate() {
            let (path, input) = &contract.methods[number % contract.methods.len()];
            let message = contract.message(input, &canary.text, number / contract.methods.len(), 0);
            let mut request = Request::new(message);
            into_headers(request.metadata_mut(), canary, number % 3 == 0);
            if number % 3 > 0 {
                let key = format!("Bearer {}", running.api_key);
                request.metadata_mut().insert("authorization", key.parse().unwrap());
            }
            // Nearly all of it is refused; how, does not matter here. A stream goes on until it is dropped.
            let call = raw::call(&running.channel, path, request);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(5), call).await;
            deep(&running, canary).await;
        }
        let figures = running.figures().await;
        sink.once("spans", |heard| (!heard.spans.is_empty()).then_some(())).await;
        let events = running.settings("database.url");
        let (_, log) = running.program.stopped().await;
        assert!(log.contains("answered"), "the log is written");
        let heard = sink.text();
        assert!(heard.contains("countersign_rpc_requests_total") && heard.contains("answered"));
        let events = events_in(&events).await;
        assert!(events.contains("caller.created"), "events are read");
        for canary in &canaries {
            for (place, content) in [("log", &log), ("collector", &heard), ("figures", &figures), ("events", &events)] {
                if let Some(at) = content.find(&canary.mark) {
                    let around = content[..at].chars().rev().take(300).collect::<Vec<_>>();
                    let around: String = around.into_iter().rev().collect();
                    seen.push(format!("{:?} in the {place} ({format}), behind: {around}", canary.text));
                }
            }
        }
    }
    eprintln!(
        "N6: {how_many} canaries, twice (text and JSON): {} seen in logs, traces, figures and events",
        seen.len()
    );
    assert!(seen.is_empty(), "{}", seen[..seen.len().min(5)].join("\n\n"));
}

/// Calls that get further than the door: what is well-formed, with the canary where people put what is theirs.
async fn deep(running: &Running, canary: &Canary) {
    let client = Some(v1::ClientContext {
        user_agent: canary.text.clone(),
        device_id: canary.text.clone(),
        device_name: canary.text.clone(),
        ..Default::default()
    });
    let mark = canary.mark.as_str();
    let phone = if mark.starts_with("912") { mark } else { "9127199999" };
    let sent =
        v1::PasswordCredential { identifier: Some(phone_number(&format!("0{phone}"))), password: canary.text.clone() };
    let credential = Some(v1::login_request::Credential::Password(sent));
    let login = v1::LoginRequest { credential, client: client.clone(), ..Default::default() };
    let _ = running.auth().login(login).await;
    let refresh = v1::RefreshRequest { refresh_token: format!("csr_{mark}"), client, ..Default::default() };
    let _ = running.tokens().refresh(refresh).await;
}

/// All that stands in the table of events.
async fn events_in(url: &str) -> String {
    let rows: Vec<String> = match Store::connect(url, 1).await.unwrap() {
        Store::Postgres(pool) => {
            sqlx::query_scalar("SELECT CAST(e AS TEXT) FROM events e").fetch_all(&pool).await.unwrap()
        }
        Store::Sqlite(pool) => {
            let all = "SELECT kind || ' ' || actor || ' ' || ip || ' ' || request_id || ' ' || detail FROM events";
            sqlx::query_scalar(all).fetch_all(&pool).await.unwrap()
        }
    };
    rows.join("\n")
}
