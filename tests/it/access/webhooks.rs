//! Endpoints and deliveries on the command line.

use super::program::Place;

#[test]
fn endpoints_are_looked_after_on_the_command_line() {
    let place = Place::new();
    let create = |name: &str, url: &str, rest: &[&str]| {
        place.run(&[&["webhook", "create", "--name", name, "--url", url], rest].concat())
    };
    let secret = create("crm", "https://crm.example.com/hook", &["--kind", "account.*", "session.ended"]).works();
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "{secret}");
    create("all", "https://all.example.com/", &[]).works();
    let listed = place.run(&["webhook", "list"]).works();
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines[0].ends_with("  all  https://all.example.com/  all"), "{listed}");
    assert!(lines[1].ends_with("  crm  https://crm.example.com/hook  account.* session.ended"), "{listed}");
    assert!(!listed.contains("whsec_"));

    let inside = create("inside", "http://127.0.0.1:9090/", &[]).fails();
    assert!(inside.contains("--url leads to a private address"), "{inside}");
    assert_eq!(create("crm", "https://x.example/", &[]).fails(), "countersign: another endpoint has this name");
    assert!(create("x", "https://x.example/", &["--kind", "account.craeted"]).fails().contains("account.craeted"));
    assert!(create("rabbitmq", "https://x.example/", &[]).code.is_some_and(|code| code != 0));

    let rotated = place.run(&["webhook", "rotate-secret", "--name", "crm"]).works();
    assert!(rotated.starts_with("whsec_") && rotated != secret);
    assert_eq!(place.run(&["webhook", "enable", "--name", "crm"]).works(), "");
    assert_eq!(place.run(&["webhook", "delete", "--name", "crm"]).works(), "");
    let gone = place.run(&["webhook", "delete", "--name", "crm"]).fails();
    assert_eq!(gone, "countersign: there is no such endpoint");
}

#[test]
fn deliveries_are_listed_and_replayed_by_the_names_operators_use() {
    let place = Place::new();
    place.run(&["webhook", "create", "--name", "crm", "--url", "https://crm.example.com/"]).works();
    assert_eq!(place.run(&["delivery", "list"]).works(), "");
    assert_eq!(place.run(&["delivery", "list", "--destination", "webhook:crm", "--state", "dead"]).works(), "");
    let replayed = place.run(&["delivery", "replay", "--destination", "webhook:crm"]).works();
    assert_eq!(replayed, "0 are tried once more\n");
    let unknown = place.run(&["delivery", "replay", "--destination", "webhook:erp"]).fails();
    assert_eq!(unknown, "countersign: there is no endpoint called `erp`");
    assert!(place.run(&["delivery", "list", "--state", "lost"]).code.is_some_and(|code| code != 0));
}
