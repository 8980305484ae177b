//! Values that cannot be right are refused before anything is installed, with a message that names the value and says what to do.

use std::fmt::Write;

use serde_json::{Value, json};

use super::manifests::{render, request};
use super::python;

/// A set of values to begin with, and what is wrong in it.
fn wrong() -> Vec<(&'static str, Value)> {
    vec![
        // Names and kinds, which the schema sees.
        ("default", json!({"replicas": 3})),
        ("default", json!({"image": {"pullPolicy": "Sometimes"}})),
        ("default", json!({"replicaCount": "three"})),
        ("default", json!({"profile": "staging"})),
        ("default", json!({"listen": {"grpc": 443}})),
        ("default", json!({"service": {"grpc": {"nodePort": 30000}}})),
        ("default", json!({"config": {"token": {"Issuer": "https://auth.example.com"}}})),
        ("default", json!({"config": {"token": {"scopes": [{"name": "a"}]}}})),
        ("default", json!({"ingress": {"http": {"enabled": true, "hosts": ["https://auth.example.com"]}}})),
        // What is missing.
        ("default", json!({"image": {"repository": ""}})),
        ("default", json!({"secrets": {"database": null, "cache": null, "secrets": null}})),
        ("default", json!({"config": {"token": {"issuer": "http://auth.example.com"}}})),
        ("default", json!({"config": {"notify": {"sms": "console", "email": null}}})),
        ("default", json!({"tls": {"enabled": true}})),
        ("default", json!({"tls": {"enabled": true, "certManager": {"enabled": true}}})),
        ("default", json!({"gateway": {"grpc": {"enabled": true}}, "ingress": {"http": {"enabled": true}}})),
        ("default", json!({"networkPolicy": {"egress": {"enabled": true}}})),
        // Settings of the program.
        ("default", json!({"config": {"token": {"isuer": "x"}, "otp": {"length": "six"}, "otq": {"length": 6}}})),
        ("default", json!({"config": {"token": {"audience": "shop"}, "accounts": {"open_registration": "yes"}}})),
        ("default", json!({"config": {"token": {"client_id": 5, "scopes": ["a,b"]}, "otp": {"length": 6.5}}})),
        ("default", json!({"config": {"grpc": {"listen": "0.0.0.0:1", "drain": "20"}, "database": {"migrate": true}}})),
        ("default", json!({"config": {"database": {"url": "postgres://…"}, "cache": {"url_file": "/tmp/url"}}})),
        // Secrets.
        ("default", json!({"secrets": {"database": {"url": {"key": null}}}})),
        ("default", json!({"secrets": {"database": {"url": {"value": "postgres://…"}}}})),
        ("default", json!({"secrets": {"cache": {"url": "rediss://…"}}})),
        ("default", json!({"secrets": {"token": {"issuer": {"value": "x"}}, "notify": {"sms_key": {"value": "x"}}}})),
        ("ha-sentinel", json!({"secrets": {"secrets": {"root_key": {"value": "short"}}}})),
        (
            "ha-sentinel",
            json!({"secrets": {"database": {"url": {"value": "sqlite:auth.db"}}, "cache": {"url": {"value": "memory:"}}}}),
        ),
        // What does not go together.
        ("minimal", json!({"replicaCount": 2, "secrets": {"database": {"url": {"value": "postgres://…"}}}})),
        ("minimal", json!({"replicaCount": 2, "migrations": {"mode": "job"}, "purge": {"enabled": true}})),
        ("default", json!({"tls": {"existingSecret": "certificate", "clientCertificates": {"required": true}}})),
        (
            "production",
            json!({"autoscaling": {"minReplicas": 20, "cpu": 0}, "podDisruptionBudget": {"minAvailable": 20}}),
        ),
        ("default", json!({"podDisruptionBudget": {"maxUnavailable": 0}})),
        ("default", json!({"terminationGracePeriodSeconds": 30})),
        ("default", json!({"listen": {"http": 50051}, "service": {"http": {"port": 50051}}})),
        ("default", json!({"extraEnv": [{"name": "COUNTERSIGN__OTP__LENGTH", "value": "8"}]})),
    ]
}

#[test]
fn wrong_values_are_refused_with_a_clear_message() {
    let Some(python) = python() else { return };
    let wrong = wrong();
    let requests: Vec<_> = wrong.iter().map(|(set, values)| request(set, values, false)).collect();
    let mut page = String::new();
    for ((set, values), rendered) in wrong.iter().zip(render(&python, &requests)) {
        let Err(complaint) = rendered else { panic!("{set} with {values} is not refused") };
        writeln!(page, "{set} with {values}\n{}\n", clear(&complaint)).unwrap();
    }
    insta::assert_snapshot!(page);
}

/// A complaint without what Helm says around it about places in templates.
fn clear(complaint: &str) -> String {
    let said = complaint.rsplit_once("error calling fail: ").map_or(complaint, |(_, said)| said);
    let lines = said.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.contains("values.schema.json"));
    lines.map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
