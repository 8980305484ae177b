//! What probes, gateways and Prometheus ask for is really there: held against a running server and its contract.

use countersign::proto::DESCRIPTORS;
use prost::Message;
use serde_json::{Value, json};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::manifests::{Manifests, items, said, sound};
use super::python;
use crate::harness::{Backend, TestApp};

/// Asks for a path, and wants an answer that is no mistake.
async fn is_served(app: &TestApp, path: &str) {
    let answer = reqwest::get(format!("http://{}{path}", app.node().http)).await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.status());
}

#[tokio::test]
async fn probes_and_scrapers_find_what_they_ask_for() {
    let Some(python) = python() else { return };
    let app = TestApp::new(Backend::Embedded).await;
    let mut asked = (0, 0);
    for set in ["default", "mtls", "everything"] {
        let manifests = sound(&python, set, &json!({}));
        let container = &manifests.the("Deployment")["spec"]["template"]["spec"]["containers"][0];
        for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let probe = &container[probe];
            if let Some(service) = probe["grpc"]["service"].as_str() {
                let request = HealthCheckRequest { service: service.to_owned() };
                let answer = HealthClient::new(app.node().channel.clone()).check(request).await.unwrap();
                assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
                asked.0 += 1;
            } else {
                let tls = Manifests::variables(&manifests.the("Deployment")["spec"]["template"]);
                let scheme = if tls.contains_key("COUNTERSIGN__TLS__KEY_FILE") { "HTTPS" } else { "HTTP" };
                assert_eq!(probe["httpGet"]["scheme"], scheme, "{set}");
                assert_eq!(probe["httpGet"]["port"], "http", "{set}");
                is_served(&app, probe["httpGet"]["path"].as_str().unwrap()).await;
                asked.1 += 1;
            }
        }
        for monitor in manifests.of("ServiceMonitor") {
            is_served(&app, monitor["spec"]["endpoints"][0]["path"].as_str().unwrap()).await;
        }
    }
    assert_eq!(asked, (1, 8));
    app.stop().await;
}

/// `package.Service` and `package.Service/Method` of everything that is served.
fn contract() -> Vec<String> {
    let descriptors = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut found = Vec::new();
    for file in descriptors.file {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            found.extend(service.method.iter().map(|method| format!("{service_name}/{}", method.name())));
            found.push(service_name);
        }
    }
    found
}

/// Whether a path leads anywhere, and to nothing that is for those inside.
fn is_for_outside(path: &str) -> bool {
    let wanted = path.trim_matches('/');
    let inside = ["Introspect", "Revoke", "Watch", "AdminService", "Authorization"];
    contract().iter().any(|known| known == wanted) && !inside.iter().any(|word| wanted.contains(word))
}

#[tokio::test]
async fn routes_lead_to_what_there_is_and_not_to_what_is_for_those_inside() {
    let Some(python) = python() else { return };
    let app = TestApp::new(Backend::Embedded).await;
    let manifests = sound(&python, "everything", &json!({}));
    let methods = items(&manifests.the("GRPCRoute")["spec"]["rules"][0]["matches"]);
    let methods: Vec<_> = methods.map(|matched| route(&matched["method"])).collect();
    let of_ingress = |name: &str| -> Vec<String> {
        let paths = &manifests.named("Ingress", name).unwrap()["spec"]["rules"][0]["http"]["paths"];
        items(paths).map(|path| said(&path["path"])).collect()
    };
    for path in methods.iter().chain(&of_ingress("sentry-grpc")) {
        assert!(is_for_outside(path), "{path}");
    }
    let matches = items(&manifests.the("HTTPRoute")["spec"]["rules"][0]["matches"]);
    let paths = matches.map(|matched| said(&matched["path"]["value"])).chain(of_ingress("sentry-http"));
    for path in paths {
        assert_eq!(path, "/.well-known/");
        for page in ["jwks.json", "openid-configuration", "oauth-authorization-server"] {
            is_served(&app, &format!("{path}{page}")).await;
        }
    }
    app.stop().await;
}

fn route(method: &Value) -> String {
    let service = said(&method["service"]);
    method["method"].as_str().map_or(service.clone(), |method| format!("{service}/{method}"))
}
