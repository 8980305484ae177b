//! What access tokens say of an account.

use countersign::proto::v1;
use serde_json::{Map, Value, json};

use super::{change_identifier, code_for, metadata, text, update};
use crate::harness::database::execute;
use crate::harness::{Backend, Person, TestApp, bearer, details, mail_address, on_both_backends};

on_both_backends!(
    tokens_say_what_is_configured_as_it_stands_in_the_database,
    a_repeated_refresh_says_it_too,
    what_has_no_room_is_left_out_from_the_end,
    nothing_is_said_unless_it_is_configured,
    o12_nobody_says_of_themself_what_tokens_vouch_for,
);

const RULES: &str = "phone = phone, phone_verified = phone_verified, mail = email | claimed_email, \
    email_verified = email_verified, is_staff = role:staff, tenant = metadata.tenant, deep = metadata.a.b, \
    first_name = first_name, username = email | phone";

/// What a token says beyond what all of them say, and the name in it.
fn said(app: &TestApp, token: &str) -> (Value, Option<String>) {
    let known = app.node().app().access.known(token).unwrap();
    (Value::Object(known.claims.extra.clone()), known.claims.username.clone())
}

async fn refresh(app: &TestApp, token: &str, request_id: &str) -> v1::Tokens {
    let request =
        v1::RefreshRequest { refresh_token: token.to_owned(), request_id: request_id.to_owned(), ..Default::default() };
    app.node().tokens().refresh(request).await.unwrap().into_inner().tokens.unwrap()
}

/// An operator sets the name and the metadata of somebody.
async fn as_operator(app: &TestApp, person: &Person, account: v1::Account) {
    let update_mask = prost_types::FieldMask { paths: vec!["first_name".to_owned(), "metadata".to_owned()] };
    let account = Some(v1::Account { account_id: person.account_id.clone(), ..account });
    let request = bearer(v1::UpdateAccountRequest { account, update_mask: Some(update_mask) }, &app.api_key);
    app.node().admin().update_account(request).await.unwrap();
}

async fn tokens_say_what_is_configured_as_it_stands_in_the_database(backend: Backend) {
    let app = with_rules(backend, "4096").await;
    let person = app.sign_in("09120000001").await;
    let first = json!({
        "phone": "+989120000001", "phone_verified": true, "email_verified": false, "is_staff": false
    });
    assert_eq!(said(&app, &person.access_token), (first, Some("+989120000001".to_owned())));

    let store = &app.node().app().store;
    execute(store, "UPDATE accounts SET roles = 'staff', claimed_email = 'ali@example.com'", &[]).await;
    let inner = metadata(&[("b", text("c"))]).unwrap();
    let inner = prost_types::Value { kind: Some(prost_types::value::Kind::StructValue(inner)) };
    let number = prost_types::Value { kind: Some(prost_types::value::Kind::NumberValue(7.0)) };
    let wished = v1::Account {
        first_name: "علی".to_owned(),
        metadata: metadata(&[("tenant", number), ("a", inner), ("secret", text("s"))]),
        ..Default::default()
    };
    as_operator(&app, &person, wished).await;
    let tokens = refresh(&app, &person.refresh_token, "").await;
    let mut second = json!({
        "phone": "+989120000001", "phone_verified": true, "mail": "ali@example.com", "email_verified": false,
        "is_staff": true, "tenant": 7, "deep": "c", "first_name": "علی"
    });
    // A mail address that was not proved is nobody's name.
    assert_eq!(said(&app, &tokens.access_token), (second.clone(), Some("+989120000001".to_owned())));

    let person = Person { access_token: tokens.access_token, refresh_token: tokens.refresh_token, ..person };
    let proof = code_for(&app, mail_address("ali@example.com"), v1::OtpPurpose::ChangeIdentifier).await;
    change_identifier(&app, &person, &proof).await.unwrap();
    let tokens = refresh(&app, &person.refresh_token, "").await;
    second["email_verified"] = json!(true);
    assert_eq!(said(&app, &tokens.access_token), (second.clone(), Some("ali@example.com".to_owned())));

    let request = v1::IntrospectRequest { token: tokens.access_token, ..Default::default() };
    let shown = app.node().tokens().introspect(bearer(request, &app.api_key)).await.unwrap().into_inner();
    assert_eq!((shown.username.as_str(), shown.roles.as_slice()), ("ali@example.com", &["staff".to_owned()][..]));
    let claims = shown.claims.unwrap().fields;
    assert_eq!(claims.len(), second.as_object().map(Map::len).unwrap());
    assert_eq!(claims["first_name"], text("علی"));

    // A visitor has no account to speak of.
    let visitor = app.node().auth().issue_anonymous_token(v1::IssueAnonymousTokenRequest::default()).await;
    let visitor = visitor.unwrap().into_inner().access_token;
    assert_eq!(said(&app, &visitor), (json!({}), None));
    app.stop().await;
}

async fn with_rules(backend: Backend, most: &str) -> TestApp {
    TestApp::with(backend, &[("token.claims", RULES), ("token.max_bytes", most)]).await
}

async fn a_repeated_refresh_says_it_too(backend: Backend) {
    let app = with_rules(backend, "4096").await;
    let person = app.sign_in("09120000001").await;
    let intent = crate::harness::request_id();
    let first = refresh(&app, &person.refresh_token, &intent).await;
    execute(&app.node().app().store, "UPDATE accounts SET roles = 'staff'", &[]).await;
    let again = refresh(&app, &person.refresh_token, &intent).await;
    assert_eq!(again.refresh_token, first.refresh_token);
    assert_eq!(said(&app, &first.access_token).0["is_staff"], json!(false));
    assert_eq!(said(&app, &again.access_token).0["is_staff"], json!(true));
    app.stop().await;
}

async fn what_has_no_room_is_left_out_from_the_end(backend: Backend) {
    let app = with_rules(backend, "1024").await;
    let person = app.sign_in("09120000001").await;
    let wished = v1::Account {
        first_name: "Ali".to_owned(),
        metadata: metadata(&[("tenant", text(&"t".repeat(2000)))]),
        ..Default::default()
    };
    as_operator(&app, &person, wished).await;
    let tokens = refresh(&app, &person.refresh_token, "").await;
    assert!(tokens.access_token.len() <= 1024, "{}", tokens.access_token.len());
    let kept = json!({ "phone": "+989120000001", "phone_verified": true, "email_verified": false, "is_staff": false });
    assert_eq!(said(&app, &tokens.access_token), (kept, None));
    assert!(app.is_active(&tokens.access_token).await);
    // The name, the first name, and the tenant.
    let figures = app.node().app().metrics.render().unwrap();
    assert!(figures.contains("countersign_claims_left_out_total 3\n"), "{figures}");
    app.stop().await;
}

async fn nothing_is_said_unless_it_is_configured(backend: Backend) {
    let app = TestApp::new(backend).await;
    let person = app.sign_in("09120000001").await;
    assert_eq!(said(&app, &person.access_token), (json!({}), None));
    let tokens = refresh(&app, &person.refresh_token, "").await;
    assert_eq!(said(&app, &tokens.access_token), (json!({}), None));
    app.stop().await;
}

/// Threat O12: whoever could set a member of the metadata that a claim speaks of could be of any tenant.
async fn o12_nobody_says_of_themself_what_tokens_vouch_for(backend: Backend) {
    let app = TestApp::with(backend, &[("token.claims", RULES), ("sign_in.new_account_steps", "profile")]).await;
    let person = app.sign_in("09120000001").await;
    let set = v1::Account { metadata: metadata(&[("tenant", text("one")), ("x", text("1"))]), ..Default::default() };
    as_operator(&app, &person, set).await;
    let wishes =
        |members: &[(&str, prost_types::Value)]| v1::Account { metadata: metadata(members), ..Default::default() };
    for wished in [
        wishes(&[("tenant", text("two")), ("a", text("b")), ("theme", text("dark"))]),
        wishes(&[("theme", text("dark"))]),
        wishes(&[]),
    ] {
        let mut kept = wished.metadata.clone().unwrap();
        kept.fields.remove("a");
        kept.fields.insert("tenant".to_owned(), text("one"));
        let account = update(&app, &person, wished, &["metadata"]).await.unwrap();
        assert_eq!(account.metadata, Some(kept));
    }
    let tokens = refresh(&app, &person.refresh_token, "").await;
    assert_eq!(said(&app, &tokens.access_token).0["tenant"], json!("one"));

    // Nor does a registration.
    for member in ["tenant", "a"] {
        let proof = code_for(&app, mail_address("ali@example.com"), v1::OtpPurpose::Register).await;
        let request = v1::RegisterRequest {
            challenge_id: proof.0,
            code: proof.1,
            metadata: metadata(&[(member, text("two"))]),
            ..Default::default()
        };
        let refused = details(&app.node().auth().register(request).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["metadata".to_owned()]));
        let profile = v1::SignInProfile { metadata: metadata(&[(member, text("two"))]), ..Default::default() };
        let request = v1::ContinueSignInRequest {
            flow_id: format!("csf_{}", "A".repeat(43)),
            input: Some(v1::continue_sign_in_request::Input::Profile(profile)),
            client: None,
        };
        let refused = details(&app.node().auth().continue_sign_in(request).await.unwrap_err());
        assert_eq!((refused.reason.as_str(), refused.fields), ("INVALID_FIELD", vec!["profile.metadata".to_owned()]));
        app.advance(61);
    }
    assert_eq!(app.rows("accounts").await, 1);
    app.stop().await;
}
