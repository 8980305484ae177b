//! The command line for accounts: the first administrator, and blocks that running nodes notice.

use std::time::{Duration, Instant};

use countersign::proto::v1;
use countersign::proto::v1::admin_service_client::AdminServiceClient;
use tonic::transport::Endpoint;

use super::program::{Place, SECRET};
use crate::harness::{bearer, details};

#[test]
fn the_first_administrator_comes_from_the_command_line() {
    let place = Place::new();
    let printed = place.run(&["account", "create", "--phone", "0912 123 4567", "--role", "admin"]).works();
    let id = printed.trim();
    assert_eq!(id.len(), 36, "{printed}");
    let password = place.file("password", &format!("{SECRET} and more of it\n"));
    let options = ["--email", "ali@example.com", "--first-name", "Ali", "--password-file", password.as_str()];
    place.run(&[&["account", "create"], &options[..]].concat()).works();
    let from_input = ["account", "create", "--phone", "09121234569", "--password-file", "-"];
    place.run_with(&from_input, format!("{SECRET} and more\r\n").as_bytes()).works();

    let listed = place.run(&["account", "list", "--role", "admin"]).works();
    assert_eq!(listed, format!("{id}  active  +989121234567  -  admin\n"));
    assert_eq!(place.run(&["account", "list"]).works().lines().count(), 3);
    assert!(place.run(&["account", "list", "--name", "ali"]).works().contains("  ali@example.com  "));
    let shown = place.run(&["account", "show", "--phone", "09121234567"]).works();
    assert!(shown.contains(id) && shown.contains("state         active") && !shown.contains("$argon2"), "{shown}");

    place.run(&["account", "block", "--id", id, "--reason", "a test", "--until", "2999-01-01T00:00:00Z"]).works();
    let shown = place.run(&["account", "show", "--id", id]).works();
    assert!(shown.contains("blocked for   a test") && shown.contains("2999-01-01"), "{shown}");
    assert_eq!(place.run(&["account", "list", "--state", "blocked"]).works().lines().count(), 1);
    place.run(&["account", "unblock", "--id", id]).works();
    assert!(place.run(&["account", "show", "--id", id]).works().contains("state         active"));
    place.run(&["account", "roles", "--email", "ali@example.com", "--role", "admin", "support"]).works();
    assert_eq!(place.run(&["account", "list", "--role", "admin"]).works().lines().count(), 2);
    place.run(&["account", "roles", "--email", "ali@example.com"]).works();
    assert_eq!(place.run(&["account", "list", "--role", "support"]).works(), "");
    place.run(&["account", "delete", "--email", "ali@example.com"]).works();
    let gone = place.run(&["account", "show", "--email", "ali@example.com"]).fails();
    assert_eq!(gone, "countersign: there is no such account");
}

#[test]
fn what_cannot_be_is_refused_in_one_sentence() {
    let place = Place::new();
    let create = |options: &[&str]| place.run(&[&["account", "create"], options].concat());
    create(&["--phone", "09121234567"]).works();
    for (options, said) in [
        (&["--phone", "09121234567"][..], "another account has this phone number or mail address"),
        (&["--phone", "12"], "--phone "),
        (&["--email", "nobody"], "--email "),
        (&["--phone", "09121234568", "--password-file", "not-there"], "the password cannot be read from not-there"),
    ] {
        let failed = create(options).fails();
        assert!(failed.starts_with(&format!("countersign: {said}")), "{failed}");
    }
    let short = place.run_with(&["account", "create", "--phone", "09121234568", "--password-file", "-"], b"short\n");
    assert_eq!(short.fails(), "countersign: the password is shorter than 8 characters");
    let empty = place.run_with(&["account", "create", "--phone", "09121234568", "--password-file", "-"], b"");
    assert_eq!(empty.fails(), "countersign: there is no password in -");
    for options in [&["block"][..], &["create"], &["create", "--phone", "09121234568", "--role", "No Role"]] {
        let said = place.run(&[&["account"], options].concat());
        assert!(said.code.is_some_and(|code| code != 0) && said.out.is_empty(), "{said:?}");
    }
    let past = ["account", "block", "--phone", "09121234567", "--until", "2001-01-01T00:00:00Z"];
    assert_eq!(place.run(&past).fails(), "countersign: --until must be in the future");
    assert_eq!(place.run(&["account", "list"]).works().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_from_the_command_line_is_noticed_by_a_running_node() {
    let place = Place::new();
    let server = place.serve();
    let key = place.run(&["caller", "create", "--name", "operator", "--permission", "admin", "introspect"]).works();
    let visible = Instant::now();
    let channel = Endpoint::from_shared(format!("http://{}", server.grpc())).unwrap().connect().await.unwrap();
    let mut admin = AdminServiceClient::new(channel);
    let id = place.run(&["account", "create", "--phone", "09121234567"]).works().trim().to_owned();
    let show = || bearer(v1::GetAccountRequest { account_id: id.clone() }, key.trim());
    let account = loop {
        match admin.get_account(show()).await {
            Ok(answer) => break answer.into_inner().account.unwrap(),
            Err(status) => assert_eq!(details(&status).reason, "API_KEY_INVALID"),
        }
        assert!(visible.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(account.state, i32::from(v1::AccountState::Active));
    place.run(&["account", "block", "--id", &id]).works();
    let account = admin.get_account(show()).await.unwrap().into_inner().account.unwrap();
    assert_eq!(account.state, i32::from(v1::AccountState::Blocked));
    let events = v1::ListAuditEventsRequest {
        filter: Some(v1::AuditFilter { actor: "operator".to_owned(), account_id: id.clone(), ..Default::default() }),
        ..Default::default()
    };
    let events = admin.list_audit_events(bearer(events, key.trim())).await.unwrap().into_inner().events;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["account.blocked", "account.created"]);
    assert_eq!(server.terminate().code, Some(0));
}
