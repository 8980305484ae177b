//! The form of events: what the manual shows is what is sent, and what is sent is what the contract says.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use countersign::events::Envelope;
use countersign::model::{AccountId, Event, EventKind, SessionId, WebhookId, destination};
use countersign::proto::DESCRIPTORS;
use countersign::store::Purged;
use prost::Message;
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::{Label, Type};
use serde_json::Value;
use uuid::Uuid;

const ISSUER: &str = "https://auth.example.com";

/// What an event of each kind holds when it is recorded, the manual's example.
fn example(kind: EventKind) -> Event {
    let id = |last: u128| Uuid::from_u128(0x0197_4c2e_6d00_7000_8000_0000_0000_0000 + last);
    let detail = match kind {
        EventKind::AccountUpdated => "first_name,roles",
        EventKind::IdentifierChanged => "phone",
        EventKind::IdentityVerified => "zibal",
        EventKind::AccountBlocked => "wrote nasty things, says Ms Smith",
        EventKind::SessionCreated => "upgraded_from=01974c2e-6d00-7000-8000-0000000000a0",
        EventKind::SessionEnded | EventKind::TokenRevoked | EventKind::AccountTokensRevoked => "lost at 5 Elm Street",
        EventKind::CallerCreated | EventKind::CallerKeyRotated | EventKind::CallerDeleted => "orders",
        EventKind::WebhookCreated
        | EventKind::WebhookSecretRotated
        | EventKind::WebhookDisabled
        | EventKind::WebhookEnabled
        | EventKind::WebhookDeleted => "billing",
        EventKind::DeliveriesReplayed => &destination(WebhookId(id(0xd))),
        EventKind::SigningKeyChanged => "kJ3v active",
        EventKind::Purged => {
            &Purged { sessions: 3, revocations: 12, events: 40, accounts: 2, ..Purged::default() }.to_string()
        }
        _ => "",
    };
    let name = kind.as_str();
    let others = ["caller.", "webhook.", "deliveries.", "signing_key.", "storage."];
    let is_about_account = !others.iter().any(|area| name.starts_with(area));
    let is_about_session = name.starts_with("session.") || kind == EventKind::PasswordChanged;
    let actor = match kind {
        EventKind::AccountBlocked | EventKind::AccountUnblocked | EventKind::AccountImported => {
            format!("caller:{}", id(0xc))
        }
        EventKind::RefreshTokenReused | EventKind::Purged | EventKind::SigningKeyChanged => "system".to_owned(),
        _ if is_about_account => format!("account:{}", id(0xa)),
        _ => "operator".to_owned(),
    };
    Event {
        id: id(1),
        at: "2027-03-01T12:00:00.123456Z".parse::<DateTime<Utc>>().unwrap(),
        kind: name.to_owned(),
        account_id: is_about_account.then(|| AccountId(id(0xa))),
        session_id: is_about_session.then(|| SessionId(id(0x5))),
        actor,
        ip: "192.0.2.7".to_owned(),
        request_id: "asked-by-mary-smith".to_owned(),
        detail: detail.to_owned(),
    }
}

fn sent(kind: EventKind) -> Value {
    serde_json::from_slice(Envelope::new(example(kind), ISSUER).cloud_event()).unwrap()
}

#[test]
fn the_manual_shows_each_kind_as_it_is_sent() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let shown: Vec<Value> = manual
        .split("```json\n")
        .skip(1)
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .collect();
    for kind in EventKind::ALL {
        let name = kind.as_str();
        assert!(manual.contains(&format!("### `{name}`")), "docs/events.md says nothing of {name}");
        let sent = sent(*kind);
        // The whole once, then what differs.
        let found = shown.iter().any(|shown| *shown == sent || *shown == sent["data"]);
        assert!(found, "docs/events.md does not show {name}:\n{sent:#}");
    }
    assert_eq!(shown.len(), EventKind::ALL.len() + 1, "docs/events.md shows what is never sent");
}

#[test]
fn what_is_sent_is_a_cloud_event_with_a_message_of_the_contract() {
    let contract = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let file = contract.file.iter().find(|file| file.name().ends_with("v1/events.proto")).unwrap();
    let mut told = BTreeSet::new();
    for kind in EventKind::ALL {
        let sent = sent(*kind);
        assert_eq!(sent["specversion"], "1.0");
        assert_eq!(sent["source"], ISSUER);
        assert_eq!(sent["type"], format!("countersign.v1.{}", kind.as_str()));
        assert_eq!(sent["datacontenttype"], "application/json");
        assert_eq!(sent["id"], example(*kind).id.to_string());
        assert_eq!(sent["time"], "2027-03-01T12:00:00.123456Z");
        assert_eq!(
            sent.get("subject").map(Value::as_str),
            example(*kind).account_id.map(|id| id.to_string()).as_deref().map(Some)
        );

        let schema = sent["dataschema"].as_str().unwrap().strip_prefix("proto:countersign.v1.").unwrap();
        let message = file.message_type.iter().find(|message| message.name() == schema).unwrap();
        // `account.created` is AccountCreated: the rule by which a consumer finds the message.
        let by_rule: String =
            kind.as_str().split(['.', '_']).map(|word| word[..1].to_uppercase() + &word[1..]).collect();
        assert_eq!(schema, by_rule);
        told.insert(schema.to_owned());
        for (name, value) in sent["data"].as_object().unwrap() {
            let field = message.field.iter().find(|field| field.json_name() == name);
            let field = field.unwrap_or_else(|| panic!("{schema} has no field {name}"));
            assert_eq!(field.r#type(), Type::String);
            let fits = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
            let is_list = field.label() == Label::Repeated;
            assert!(if is_list { value.as_array().unwrap().iter().all(fits) } else { fits(value) }, "{schema}: {name}");
        }
        // The examples are full: each field of the contract is sent some time.
        assert_eq!(sent["data"].as_object().unwrap().len(), message.field.len(), "{schema}");
    }
    let all: BTreeSet<_> = file.message_type.iter().map(|message| message.name().to_owned()).collect();
    assert_eq!(told, all);
}

#[test]
fn nothing_that_is_sent_tells_of_a_person() {
    for kind in EventKind::ALL {
        let sent = sent(*kind).to_string();
        for personal in ["192.0.2.7", "mary-smith", "Smith", "Elm"] {
            assert!(!sent.contains(personal), "{sent}");
        }
    }
}

#[test]
fn what_a_newer_release_records_keeps_its_place() {
    let event = Event { kind: "account.merged".to_owned(), ..example(EventKind::AccountBlocked) };
    let sent: Value = serde_json::from_slice(Envelope::new(event, ISSUER).cloud_event()).unwrap();
    assert_eq!(sent["type"], "countersign.v1.account.merged");
    assert_eq!(sent.get("dataschema"), None);
    assert_eq!(sent["data"].as_object().unwrap().keys().collect::<Vec<_>>(), ["accountId", "actor"]);
}
