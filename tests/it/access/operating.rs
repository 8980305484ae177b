//! The command line where all is well: settings, callers, keys, cleaning up, and a server beside them.

use std::time::{Duration, Instant};

use countersign::config::Config;
use countersign::proto::v1;

use super::program::Place;
use crate::harness::bearer;

#[test]
fn the_defaults_are_the_manual_and_are_sound() {
    let place = Place::new();
    let manual = place.run(&["config", "default"]).works();
    assert_eq!(manual, Config::manual());
    assert_eq!(manual, include_str!("../../../src/config.default.toml"));
    let file = place.file("countersign.toml", &manual);
    assert_eq!(place.run(&["--config", &file, "config", "check"]).works(), "the configuration is sound\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_is_created_may_call_within_a_second() {
    let place = Place::new();
    let server = place.serve();
    let database = place.database();
    assert!(server.said.iter().any(|line| line.starts_with("Countersign ")), "{:?}", server.said);
    assert!(std::path::Path::new(database.trim_start_matches("sqlite:")).exists());

    let printed = place.run(&["caller", "create", "--name", "gateway", "--permission", "introspect"]).works();
    let key = printed.strip_suffix('\n').unwrap();
    assert!(key.starts_with("csk_") && key.split_whitespace().count() == 1, "{printed:?}");
    let created = Instant::now();
    let mut tokens = server.tokens().await;
    let introspects = async |tokens: &mut v1::token_service_client::TokenServiceClient<_>, key: &str| {
        let request = v1::IntrospectRequest { token: "a".to_owned(), ..Default::default() };
        tokens.introspect(bearer(request, key)).await.is_ok()
    };
    while !introspects(&mut tokens, key).await {
        assert!(created.elapsed() < Duration::from_millis(1_500), "it may not call after {:?}", created.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let listed = place.run(&["caller", "list"]).works();
    assert!(listed.lines().any(|line| line.ends_with("  gateway  introspect")), "{listed}");
    assert!(!listed.contains("csk_"));
    let rotated = place.run(&["caller", "rotate", "--name", "gateway"]).works();
    assert_ne!(rotated, printed);
    let rotated_at = Instant::now();
    while introspects(&mut tokens, key).await || !introspects(&mut tokens, rotated.trim()).await {
        assert!(rotated_at.elapsed() < Duration::from_millis(1_500));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(place.run(&["caller", "delete", "--name", "gateway"]).works(), "");
    let gone = place.run(&["caller", "delete", "--name", "gateway"]).fails();
    assert_eq!(gone, "countersign: there is no such caller");
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.is_decent();
}

#[test]
fn names_that_cannot_be_written_anywhere_are_refused() {
    let place = Place::new();
    place.run(&["caller", "create", "--name", "gateway", "--permission", "introspect"]).works();
    for name in ["", "Gateway", "gate way", "gate\nway", "7up", "درگاه", &"a".repeat(65)] {
        let said = place.run(&["caller", "create", "--name", name, "--permission", "introspect"]);
        assert!(said.code.is_some_and(|code| code != 0) && said.out.is_empty(), "{name:?}: {said:?}");
    }
    let taken = place.run(&["caller", "create", "--name", "gateway", "--permission", "revoke"]).fails();
    assert_eq!(taken, "countersign: another caller has this name");
    let unknown = place.run(&["caller", "create", "--name", "other", "--permission", "everything"]);
    assert!(unknown.code.is_some_and(|code| code != 0));
    assert!(unknown.err.contains("introspect, revoke, act_for_clients, admin"), "{unknown:?}");
    assert_eq!(place.run(&["caller", "list"]).works().lines().count(), 1);
}

#[test]
fn keys_are_listed_and_rotated() {
    let place = Place::new();
    let listed = place.run(&["keys", "list"]).works();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains("  ES256  active  since "));
    assert!(place.run(&["keys", "rotate"]).works().contains("  pending  "));
    let early = place.run(&["keys", "rotate"]).fails();
    assert!(early.contains("must not be used before"), "{early}");
    assert!(place.run(&["keys", "rotate", "--force"]).works().contains("  active  "));
    let listed = place.run(&["keys", "list"]).works();
    assert!(listed.contains("  active  ") && listed.contains("  retired  "), "{listed}");
}

#[test]
fn a_database_is_migrated_and_cleaned() {
    let place = Place::new();
    assert_eq!(place.run(&["migrate"]).works(), "the database has the shape that this release needs\n");
    place.run(&["migrate"]).works();
    let purged = place.run(&["purge"]).works();
    assert_eq!(purged, "deleted 0 sessions, 0 revocations, 0 signing keys, 0 events, 0 deleted accounts\n");
    let again = place.run(&["job", "run", "purge"]).works();
    assert!(again.starts_with("deleted "), "{again}");
    assert_eq!(place.run(&["job", "run", "rotate-keys"]).works(), "no step was due\n");
    let listed = place.run(&["job", "list"]).works();
    let first: Vec<_> = listed.lines().take(3).collect();
    assert_eq!(first[0], "purge  every 1h");
    assert!(first[1].starts_with("  next          20"), "{listed}");
    assert!(first[2].contains("succeeded: deleted ") && first[2].ends_with("(asked for by operator)"), "{listed}");
    let refused = place.run(&["job", "run", "nonsense"]);
    assert!(refused.code == Some(2) && refused.err.contains("is not the name of a job"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_asked_for_and_a_signal_ends_it_in_good_order() {
    let place = Place::new();
    let server = place.serve();
    let address = server.grpc().to_string();
    let ask = |service: &str| place.run(&["healthcheck", "--address", &address, "--service", service]);
    assert_eq!(ask("").works(), "");
    ask("countersign.v1.TokenService").works();
    let unknown = ask("countersign.v1.NoService").fails();
    assert!(unknown.contains("does not serve"), "{unknown}");
    let answer = reqwest::get(format!("http://{}/readyz", server.http())).await.unwrap();
    assert_eq!(answer.status(), 200);
    let ended = server.terminate();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.is_decent();
    // Had it waited for anything in vain, it would have said so.
    assert!(!ended.err.contains("WARN"), "{ended:?}");
    let gone = ask("").fails();
    assert!(gone.starts_with(&format!("countersign: {address} does not serve: ")), "{gone}");
}
