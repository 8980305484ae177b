//! `compose.yaml`: it holds together, its secrets are made, and what it tells the program is a sound configuration.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::manifests::{items, said};
use super::{config_check, file, is_secret, manual, python, run, setting, text, yaml};
use crate::harness::led_to;

/// Runs the script that makes what belongs into no repository.
fn prepared() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    run(Command::new(file("examples/compose/prepare")).arg(folder.path()), "").unwrap();
    folder
}

/// A map of texts.
fn texts(map: &Value) -> BTreeMap<String, String> {
    map.as_object().unwrap().iter().map(|(name, value)| (name.clone(), said(value))).collect()
}

/// Where a secret's file is, in the folder that was prepared.
fn made(compose: &Value, secret: &str, folder: &Path) -> std::path::PathBuf {
    let path = said(&compose["secrets"][secret]["file"]);
    folder.join(path.strip_prefix("examples/compose/made/").unwrap())
}

#[test]
fn it_is_what_the_specification_says() {
    let Some(python) = python() else { return };
    let mut check = Command::new(python.with_file_name("check-jsonschema"));
    check.args(["--builtin-schema", "vendor.compose-spec"]).arg(file("compose.yaml"));
    run(&mut check, "").unwrap_or_else(|complaint| panic!("{complaint}"));
}

#[test]
fn what_it_tells_the_program_is_a_sound_configuration() {
    let Some(python) = python() else { return };
    let (compose, folder, manual) = (yaml(&python, "compose.yaml"), prepared(), manual());
    for name in ["countersign", "migrate"] {
        let service = &compose["services"][name];
        let mut variables = texts(&service["environment"]);
        for (variable, value) in &mut variables {
            let setting = setting(variable).unwrap();
            assert!(manual.contains_key(&setting) && !is_secret(&setting), "{setting}");
            if let Some(secret) = value.strip_prefix("/run/secrets/") {
                assert!(items(&service["secrets"]).any(|given| given == secret), "{name} is not given {secret}");
                *value = made(&compose, secret, folder.path()).display().to_string();
            }
        }
        config_check(&variables).unwrap_or_else(|complaint| panic!("{name}: {complaint}"));
        // With one of them missing it is none: the check has teeth.
        let without = variables.iter().filter(|(variable, _)| !variable.contains("ROOT_KEY"));
        assert!(config_check(without).unwrap_err().contains("secrets.root_key"));
    }
}

#[test]
fn every_secret_is_made_and_none_is_made_anew() {
    let Some(python) = python() else { return };
    let (compose, folder) = (yaml(&python, "compose.yaml"), prepared());
    let secrets = compose["secrets"].as_object().unwrap();
    let read = || -> Vec<_> {
        secrets.keys().map(|name| std::fs::read_to_string(made(&compose, name, folder.path())).unwrap()).collect()
    };
    let before = read();
    assert!(before.iter().all(|text| text.len() > 10));
    run(Command::new(file("examples/compose/prepare")).arg(folder.path()), "").unwrap();
    assert_eq!(read(), before);
    for service in compose["services"].as_object().unwrap().values() {
        for secret in items(&service["secrets"]) {
            let name = secret.as_str().or_else(|| secret["source"].as_str()).unwrap();
            assert!(secrets.contains_key(name), "{name} is nowhere");
        }
    }
    assert!(text(".gitignore").lines().any(|line| line == "/examples/compose/made"));
}

#[test]
fn its_services_are_confined_and_wait_for_one_another() {
    let Some(python) = python() else { return };
    let compose = yaml(&python, "compose.yaml");
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        assert_eq!(service["security_opt"][0], "no-new-privileges:true", "{name}");
        // RabbitMQ's own start script changes what lies about.
        if name != "rabbitmq" {
            assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&"true".into(), &"ALL".into()), "{name}");
        }
        for port in items(&service["ports"]) {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to the network: {port}");
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            let waited = &services[other];
            match how["condition"].as_str().unwrap() {
                "service_healthy" => assert!(waited["healthcheck"]["test"].is_array(), "{name} waits for {other}"),
                "service_completed_successfully" => assert_eq!(waited["restart"], "no", "{name} waits for {other}"),
                other => panic!("{name}: {other}"),
            }
        }
        let image = service["image"].as_str().unwrap();
        assert!(!image.ends_with(":latest") && image.rsplit('/').next().unwrap().contains(':'), "{image}");
    }
    let drain = manual()["grpc.drain"].as_str().unwrap().strip_suffix('s').unwrap().parse::<u64>().unwrap();
    let grace = services["countersign"]["stop_grace_period"].as_str().unwrap().strip_suffix('s').unwrap();
    assert!(grace.parse::<u64>().unwrap() > 3 * drain);
    assert_eq!(
        services["countersign"]["healthcheck"]["test"],
        serde_json::json!(["CMD", "countersign", "healthcheck"])
    );
}

/// Envoy itself reads what the script makes of `examples/envoy`.
#[test]
fn envoy_takes_its_configuration_and_looks_for_the_services_by_name() {
    let Some(python) = python() else { return };
    let (compose, folder) = (yaml(&python, "compose.yaml"), prepared());
    let configuration = std::fs::read_to_string(folder.path().join("envoy.yaml")).unwrap();
    let addresses = configuration.lines().filter_map(|line| line.split_once("socket_address: { address: "));
    let addresses: Vec<_> = addresses.map(|(_, rest)| rest.split_once(',').unwrap().0).collect();
    assert_eq!(addresses.iter().filter(|address| **address == "0.0.0.0").count(), 2, "{addresses:?}");
    let named: Vec<_> = addresses.iter().filter(|address| **address != "0.0.0.0").collect();
    assert_eq!(named.len(), 3, "{addresses:?}");
    assert!(named.iter().all(|name| compose["services"].get(**name).is_some()), "{named:?}");
    assert!(configuration.contains("failure_mode_allow: false"));
    let issuer = said(&compose["services"]["countersign"]["environment"]["COUNTERSIGN__TOKEN__ISSUER"]);
    assert!(configuration.contains(&format!("issuer: {issuer}\n")));

    let Some(envoy) = led_to("COUNTERSIGN_TEST_ENVOY") else { return };
    std::fs::write(folder.path().join("countersign.binpb"), countersign::proto::DESCRIPTORS).unwrap();
    let mut validate = Command::new(envoy);
    validate.args(["--mode", "validate", "--config-path", "envoy.yaml", "--log-level", "error"]);
    validate.current_dir(folder.path()).env("COUNTERSIGN_API_KEY", "csk_of_nobody");
    run(&mut validate, "").unwrap_or_else(|complaint| panic!("{complaint}"));
}
