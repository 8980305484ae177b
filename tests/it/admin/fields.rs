//! What nobody may grant themself (O12): every field of an account against every method that changes one.

use countersign::proto::{DESCRIPTORS, v1};
use prost::Message;
use prost_types::{FieldMask, FileDescriptorSet, Timestamp};

use super::{create, show, update, with_phone};
use crate::harness::{Backend, TestApp, bearer, details, on_both_backends, request_id};
use crate::session::{newcomer, reason};

on_both_backends!(o12_only_some_fields_are_anybodys_to_set, o12_an_account_is_opened_without_what_is_the_servers);

/// What an operator may change of an account. Everything else is the service's own word.
const OPERATORS: [&str; 5] = ["first_name", "last_name", "roles", "locale", "metadata"];

/// The names of an account's fields, as masks may spell them.
fn fields() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let messages =
        || set.file.iter().filter(|file| file.package() == "countersign.v1").flat_map(|file| &file.message_type);
    let of = |name: &str| messages().find(|message| message.name() == name).unwrap().field.clone();
    let mut all = Vec::new();
    for field in of("Account") {
        all.push(field.name().to_owned());
        all.push(field.json_name().to_owned());
    }
    all.extend(of("Identity").iter().map(|field| format!("identity.{}", field.name())));
    all.extend(
        ["*", "", "metadata.plan", "roles.0", " roles", "password", "password_hash", "block_reason"].map(str::to_owned),
    );
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 30, "{all:?}");
    all
}

/// An account with every field set to what its owner would like.
fn wishes(account_id: &str) -> v1::Account {
    let now = Some(Timestamp { seconds: 1_000_000_000, nanos: 0 });
    v1::Account {
        account_id: account_id.to_owned(),
        phone: "+989350000000".to_owned(),
        phone_verified: true,
        email: "wish@example.com".to_owned(),
        email_verified: true,
        first_name: "Wish".to_owned(),
        last_name: "Wish".to_owned(),
        roles: vec!["admin".to_owned()],
        state: v1::AccountState::Blocked.into(),
        created_at: now,
        last_login_at: now,
        blocked_until: now,
        identity: Some(v1::Identity { verified_at: now, full_name: "Wish".to_owned(), ..Default::default() }),
        has_password: true,
        metadata: Some(prost_types::Struct::default()),
        locale: "fa".to_owned(),
    }
}

async fn o12_only_some_fields_are_anybodys_to_set(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = newcomer(&app).await;
    let before = show(&app, &person.account_id).await.account.unwrap();
    let gateway = v1::CreateCallerRequest {
        name: "gateway".to_owned(),
        permissions: vec![
            v1::Permission::Introspect.into(),
            v1::Permission::Revoke.into(),
            v1::Permission::ActForClients.into(),
        ],
        ..Default::default()
    };
    let gateway = app.node().admin().create_caller(bearer(gateway, &app.api_key)).await.unwrap().into_inner().api_key;
    let (mut tried, mut granted) = (0, 0);
    for field in fields() {
        let mask = FieldMask { paths: vec![field.clone()] };
        // By others than operators: nothing at all.
        for credential in [&person.access_token, &gateway] {
            let account = Some(wishes(&person.account_id));
            let request = v1::UpdateAccountRequest { account, update_mask: Some(mask.clone()) };
            let outcome = app.node().admin().update_account(bearer(request, credential)).await;
            assert_eq!(reason(outcome), "PERMISSION_DENIED", "{field}");
            tried += 1;
        }
        // By a person about themself: never what is the service's word, or the operator's.
        let request = v1::UpdateProfileRequest { account: Some(wishes(&person.account_id)), update_mask: Some(mask) };
        let _ = app.node().accounts().update_profile(bearer(request, &person.access_token)).await;
        let after = show(&app, &person.account_id).await.account.unwrap();
        granted += usize::from(servers(&after) != servers(&before) || after.roles != before.roles);
        tried += 1;
        // By an operator: these, each by itself; all other names are refused, and a right one beside them changes nothing.
        if !OPERATORS.contains(&field.as_str()) {
            let before = show(&app, &person.account_id).await.account.unwrap();
            for paths in [&[field.as_str()][..], &["first_name", field.as_str()]] {
                let refused = details(&update(&app, wishes(&person.account_id), paths).await.unwrap_err());
                assert_eq!(
                    (refused.reason.as_str(), refused.fields[0].as_str()),
                    ("INVALID_FIELD", "update_mask"),
                    "{field}"
                );
                tried += 1;
            }
            assert_eq!(show(&app, &person.account_id).await.account.unwrap(), before, "{field}");
        }
    }
    let changed = update(&app, wishes(&person.account_id), &OPERATORS).await.unwrap();
    granted += usize::from(servers(&changed) != servers(&before));
    eprintln!("O12: {tried} tries to set a field that is not one's own, {granted} granted");
    assert_eq!(granted, 0);
    app.stop().await;
}

/// What only the service says of an account.
fn servers(account: &v1::Account) -> v1::Account {
    v1::Account {
        first_name: String::new(),
        last_name: String::new(),
        roles: Vec::new(),
        locale: String::new(),
        metadata: None,
        ..account.clone()
    }
}

async fn o12_an_account_is_opened_without_what_is_the_servers(backend: Backend) {
    let app = TestApp::new(backend).await;
    let wished = request_id();
    let account = v1::Account { email: String::new(), ..wishes(&wished) };
    let created = create(&app, v1::Account { phone: "09121234567".to_owned(), ..account }).await;
    assert_ne!(created.account_id, wished);
    let expected = v1::Account {
        account_id: created.account_id.clone(),
        phone: "+989121234567".to_owned(),
        phone_verified: true,
        state: v1::AccountState::Active.into(),
        created_at: created.created_at,
        ..Default::default()
    };
    assert_eq!(servers(&created), expected);
    assert_eq!(created.created_at.unwrap().seconds, app.now().timestamp());
    // Whoever opens an account by signing in has nothing but that.
    let other = create(&app, with_phone("09121234568")).await;
    assert!(other.roles.is_empty() && other.identity.is_none() && !other.has_password);
    app.stop().await;
}
