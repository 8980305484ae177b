//! What the chart makes of each set of values holds together: for the program, for Kubernetes, and for whoever looks after it.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::manifests::{Manifests, Rendered, items, name, render, request, said, selects, sound};
use super::{config_check, is_secret, manual, python, setting, text};

/// Everything that is in `helm/countersign/ci`.
pub(super) const SETS: &[&str] =
    &["default", "minimal", "production", "ha-sentinel", "mtls", "external-secrets", "gateway", "everything"];

/// Every set, once as an installation and once as an upgrade. They are rendered once for all tests.
fn each(mut look: impl FnMut(&str, &Manifests)) {
    static RENDERED: OnceLock<Vec<(&str, Manifests)>> = OnceLock::new();
    let Some(python) = python() else { return };
    let rendered = RENDERED.get_or_init(|| {
        let twice = |set: &&'static str| [(*set, false), (*set, true)];
        let wanted: Vec<_> = SETS.iter().flat_map(twice).collect();
        let requests: Vec<_> = wanted.iter().map(|(set, upgrade)| request(set, &json!({}), *upgrade)).collect();
        let sound = |((set, _), rendered): (&(&'static str, bool), Rendered)| {
            (*set, rendered.unwrap_or_else(|error| panic!("{set}: {error}")))
        };
        wanted.iter().zip(render(&python, &requests)).map(sound).collect()
    });
    assert_eq!(rendered.len(), 2 * SETS.len());
    for (set, manifests) in rendered {
        look(set, manifests);
    }
}

#[test]
fn every_set_is_tried() {
    let folder = std::fs::read_dir(super::file("helm/countersign/ci")).unwrap();
    let mut found: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut expected: Vec<_> = SETS.iter().map(|set| format!("{set}-values.yaml")).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// What stands in a secret that somebody else brings.
fn sample(setting: &str) -> &'static str {
    match setting {
        "database.url" => "postgres://countersign:hush@postgres.example/countersign\n",
        "cache.url" => "rediss://:hush@redis.example\n",
        "secrets.root_key" | "secrets.previous_root_key" => "bm90IGEga2V5LCBidXQgYXMgbG9uZyBhcyBvbmUgaXM=\n",
        _ => "hush6f3a\n",
    }
}

/// The variables of a pod, with its files laid out below a folder. A variable that names a file which the pod has not got is
/// caught by this.
fn laid_out(manifests: &Manifests, pod: &Value, folder: &Path) -> std::collections::BTreeMap<String, String> {
    let files = Manifests::files(pod);
    let mut variables = Manifests::variables(pod);
    variables.retain(|variable, _| setting(variable).is_some());
    for (variable, value) in &mut variables {
        let setting = setting(variable).unwrap();
        let Some(secret) = setting.strip_suffix("_file").filter(|_| value.starts_with('/')) else { continue };
        let place = files.get(value.as_str());
        let (from, key) = match place {
            Some(place) => place,
            // Certificates to trust come by volumes of the operator's own.
            None if setting.ends_with("ca_file") && !setting.starts_with("tls.") => continue,
            None => panic!("{variable} names {value}, which is not among {files:#?}"),
        };
        let content = manifests.secret(from, key).unwrap_or_else(|| sample(secret).to_owned());
        let path = folder.join(setting.as_str());
        std::fs::write(&path, content).unwrap();
        *value = path.display().to_string();
    }
    variables
}

#[test]
fn what_the_pods_are_told_is_a_sound_configuration() {
    each(|set, manifests| {
        for (owner, pod) in manifests.pods() {
            let folder = tempfile::tempdir().unwrap();
            let variables = laid_out(manifests, pod, folder.path());
            assert!(variables.len() > 5, "{set}: {variables:?}");
            let checked = config_check(&variables);
            assert!(checked.is_ok(), "{set}, {} {}: {}", owner["kind"], name(owner), checked.unwrap_err());
        }
    });
}

#[test]
fn every_setting_exists_and_no_secret_is_a_variable() {
    let manual = manual();
    each(|set, manifests| {
        for (_, pod) in manifests.pods() {
            for (variable, value) in Manifests::variables(pod) {
                let Some(setting) = setting(&variable) else { continue };
                assert!(manual.contains_key(&setting), "{set}: there is no setting {setting}");
                assert!(!is_secret(&setting), "{set}: {variable}={value} is a secret");
            }
        }
        for map in manifests.of("ConfigMap") {
            let shown = map["data"].to_string();
            for secret in ["secret-of-", "bm90IGEga2V5"] {
                assert!(!shown.contains(secret), "{set}: {secret} is in the ConfigMap {}", name(map));
            }
        }
        for (owner, pod) in manifests.pods() {
            assert!(!pod.to_string().contains("secret-of-"), "{set}: a secret is in {}", name(owner));
        }
        assert!(!manifests.notes.contains("secret-of-"), "{set}");
    });
    let Some(python) = python() else { return };
    let manifests = sound(&python, "ha-sentinel", &json!({}));
    assert_eq!(manifests.secret("auth-countersign", "notify.webhook.secret").unwrap(), "secret-of-the-webhook");
}

#[test]
fn everything_has_a_name_of_its_own_and_says_whose_it_is() {
    each(|set, manifests| {
        let mut names = std::collections::BTreeSet::new();
        for manifest in manifests.iter() {
            let (kind, name) = (said(&manifest["kind"]), name(manifest).to_owned());
            // A CronJob makes names of its own of it.
            assert!(name.len() <= 52, "{set}: {kind} {name}");
            let labels = &manifest["metadata"]["labels"];
            assert_eq!(labels["app.kubernetes.io/instance"], "auth", "{set}: {kind} {name}");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "Helm", "{set}: {kind} {name}");
            assert_eq!(manifest["metadata"]["namespace"], "identity", "{set}: {kind} {name}");
            assert!(names.insert((kind.clone(), name.clone())), "{set}: two are called {kind} {name}");
        }
    });
}

#[test]
fn selectors_and_ports_meet() {
    each(|set, manifests| {
        let deployment = manifests.the("Deployment");
        let pod = &deployment["spec"]["template"];
        let labels = &pod["metadata"]["labels"];
        assert!(selects(&deployment["spec"]["selector"]["matchLabels"], labels), "{set}");
        let container = &pod["spec"]["containers"][0];
        let ports: Vec<_> = items(&container["ports"]).map(|port| said(&port["name"])).collect();
        assert_eq!(ports, ["grpc", "http"], "{set}");

        // The program listens where the pod says, on every address.
        let variables = Manifests::variables(pod);
        for port in items(&container["ports"]) {
            let variable = format!("COUNTERSIGN__{}__LISTEN", said(&port["name"]).to_ascii_uppercase());
            let listen: std::net::SocketAddr = variables[&variable].parse().unwrap();
            assert!(listen.ip().is_unspecified(), "{set}: {listen}");
            assert_eq!(u64::from(listen.port()), port["containerPort"], "{set}");
        }
        // Others' jobs are not taken for servers.
        for (owner, other) in manifests.pods() {
            let served = selects(&deployment["spec"]["selector"]["matchLabels"], &other["metadata"]["labels"]);
            assert_eq!(served, owner["kind"] == "Deployment", "{set}: {}", name(owner));
        }
        let services = manifests.of("Service");
        assert!(!services.is_empty(), "{set}");
        for service in services {
            assert!(selects(&service["spec"]["selector"], labels), "{set}: {}", name(service));
            for port in items(&service["spec"]["ports"]) {
                assert!(ports.contains(&said(&port["targetPort"])), "{set}: {port}");
                assert!(port["appProtocol"].is_string(), "{set}: {port}");
                if service["spec"]["clusterIP"] == "None" {
                    let listened = items(&container["ports"]).find(|own| own["name"] == port["targetPort"]).unwrap();
                    assert_eq!(port["port"], listened["containerPort"], "{set}: {port}");
                }
            }
        }
        for scaler in manifests.of("HorizontalPodAutoscaler") {
            assert_eq!(scaler["spec"]["scaleTargetRef"]["name"], name(deployment), "{set}");
            assert!(deployment["spec"]["replicas"].is_null(), "{set}: two would decide how many pods there are");
        }
        for monitor in manifests.of("ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let watched: Vec<_> = manifests.of("Service");
            let watched: Vec<_> = watched.iter().filter(|s| selects(selector, &s["metadata"]["labels"])).collect();
            assert_eq!(watched.len(), 1, "{set}: each pod is asked once");
            let named = |port: &Value| items(&watched[0]["spec"]["ports"]).any(|own| own["name"] == *port);
            assert!(items(&monitor["spec"]["endpoints"]).all(|endpoint| named(&endpoint["port"])), "{set}");
        }
        for route in ["HTTPRoute", "GRPCRoute"].into_iter().flat_map(|kind| manifests.of(kind)) {
            for backend in items(&route["spec"]["rules"][0]["backendRefs"]) {
                let service = manifests.named("Service", backend["name"].as_str().unwrap()).unwrap();
                let wanted = if route["kind"] == "HTTPRoute" { "http" } else { "grpc" };
                let port = items(&service["spec"]["ports"]).find(|port| port["port"] == backend["port"]).unwrap();
                assert_eq!(port["name"], wanted, "{set}");
            }
        }
    });
}

#[test]
fn a_pod_has_the_time_that_the_server_takes_to_stop() {
    let manual = manual();
    let seconds = |span: &str| match span.strip_suffix("ms") {
        Some(millis) => millis.parse::<u64>().unwrap().div_ceil(1000),
        None => span.strip_suffix('s').unwrap().parse().unwrap(),
    };
    each(|set, manifests| {
        let pod = &manifests.the("Deployment")["spec"]["template"];
        let variables = Manifests::variables(pod);
        // Not every release has the second of them.
        let variable = |name: &str| format!("COUNTERSIGN__{}", name.to_ascii_uppercase().replace('.', "__"));
        let [drain, delay, flush] = ["grpc.drain", "grpc.drain_delay", "telemetry.flush"].map(|name| {
            let default = manual.get(name).map_or("0s", |value| value.as_str().unwrap());
            seconds(variables.get(&variable(name)).map_or(default, String::as_str))
        });
        let is_on = |name: &str| variables.get(&variable(name)).is_some_and(|value| value == "true");
        let has_collector = ["telemetry.traces", "telemetry.metrics", "telemetry.logs"].into_iter().any(is_on);
        assert!(has_collector || set != "production");
        let before = pod["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
        let grace = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
        let needed = before + delay + 3 * drain + if has_collector { flush } else { 0 };
        assert!(before > 0 && grace > needed, "{set}: {grace} s where {needed} s are needed");
    });
}

#[test]
fn pods_are_restricted() {
    each(|set, manifests| {
        for (owner, pod) in manifests.pods() {
            let place = format!("{set}, {}", name(owner));
            let spec = &pod["spec"];
            assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{place}");
            assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{place}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{place}");
            assert_eq!(spec["enableServiceLinks"], false, "{place}");
            let own = &spec["containers"][0]["securityContext"];
            assert_eq!(own["allowPrivilegeEscalation"], false, "{place}");
            assert_eq!(own["readOnlyRootFilesystem"], true, "{place}");
            assert_eq!(own["capabilities"], json!({"drop": ["ALL"]}), "{place}");
            assert!(spec["containers"][0]["resources"]["limits"]["memory"].is_string(), "{place}");
            for volume in items(&spec["volumes"]) {
                for mode in [&volume["projected"]["defaultMode"], &volume["secret"]["defaultMode"]] {
                    assert!(mode.is_null() || mode == 0o440, "{place}: {volume}");
                }
            }
        }
    });
}

#[test]
fn the_network_policy_covers_every_port() {
    each(|set, manifests| {
        let policies = manifests.of("NetworkPolicy");
        assert_eq!(policies.is_empty(), set == "minimal", "{set}");
        if policies.is_empty() {
            return;
        }
        for (owner, pod) in manifests.pods() {
            let of_pod =
                |policy: &&&Value| selects(&policy["spec"]["podSelector"]["matchLabels"], &pod["metadata"]["labels"]);
            let policy = policies.iter().filter(of_pod).collect::<Vec<_>>();
            assert_eq!(policy.len(), 1, "{set}: {}", name(owner));
            let spec = &policy[0]["spec"];
            assert!(items(&spec["policyTypes"]).any(|kind| kind == "Ingress"), "{set}");
            let open: Vec<_> = items(&spec["ingress"]).flat_map(|rule| items(&rule["ports"])).collect();
            let listened: Vec<_> = items(&pod["spec"]["containers"][0]["ports"]).collect();
            assert_eq!(open.len(), listened.len(), "{set}: {}", name(owner));
            assert!(listened.iter().all(|port| open.iter().any(|rule| rule["port"] == port["name"])), "{set}");
            if items(&spec["policyTypes"]).any(|kind| kind == "Egress") {
                let names = |rule: &Value| items(&rule["ports"]).any(|port| port["port"] == 53);
                assert!(items(&spec["egress"]).any(names) && spec["egress"].as_array().unwrap().len() > 1, "{set}");
            }
        }
    });
}

#[test]
fn a_disruption_leaves_somebody_and_takes_somebody() {
    each(|set, manifests| {
        let deployment = manifests.the("Deployment");
        let scaled =
            manifests.of("HorizontalPodAutoscaler").first().map(|scaler| scaler["spec"]["minReplicas"].clone());
        let fewest = scaled.unwrap_or_else(|| deployment["spec"]["replicas"].clone()).as_u64().unwrap();
        let budgets = manifests.of("PodDisruptionBudget");
        assert_eq!(budgets.is_empty(), fewest < 2, "{set}: {fewest} pods");
        for budget in budgets {
            let spec = &budget["spec"];
            let labels = &deployment["spec"]["template"]["metadata"]["labels"];
            assert!(selects(&spec["selector"]["matchLabels"], labels), "{set}");
            assert!(spec["minAvailable"].is_null() != spec["maxUnavailable"].is_null(), "{set}");
            assert!(spec["minAvailable"].as_u64().is_none_or(|least| least < fewest), "{set}");
            assert!(spec["maxUnavailable"].as_u64().is_none_or(|most| most > 0 && most < fewest), "{set}");
        }
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        assert_eq!(rolling["maxUnavailable"], 0, "{set}: an upgrade takes nobody away first");
    });
}

#[test]
fn alerts_are_about_the_job_that_is_scraped() {
    let mut watched = 0;
    each(|set, manifests| {
        let (rules, monitors) = (manifests.of("PrometheusRule"), manifests.of("ServiceMonitor"));
        for (rule, monitor) in rules.into_iter().zip(monitors) {
            // Where nothing else is said, a job is called as the Service by which its pods are found.
            assert!(monitor["spec"]["jobLabel"].is_null(), "{set}");
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let services = manifests.of("Service");
            let job = services.iter().find(|service| selects(selector, &service["metadata"]["labels"])).unwrap();
            let own = format!("{{job=\"{}\",namespace=\"identity\"", name(job));
            for alert in items(&rule["spec"]["groups"]).flat_map(|group| items(&group["rules"])) {
                let expression = said(&alert["expr"]);
                assert_eq!(
                    expression.matches(&own).count(),
                    expression.matches("{job=").count(),
                    "{set}: {expression}"
                );
                assert_eq!(alert["labels"]["job"], name(job), "{set}: {alert}");
                assert_eq!(alert["labels"]["namespace"], "identity", "{set}: {alert}");
                assert!(alert["labels"]["severity"].is_string(), "{set}: {alert}");
                // What Alertmanager offers as a link is one.
                let url = &alert["annotations"]["runbook_url"];
                let entry = format!("/runbook#{}", said(&alert["alert"]).to_ascii_lowercase());
                let is_led = url.as_str().is_some_and(|url| url.starts_with("https://") && url.ends_with(&entry));
                assert!(is_led || (url.is_null() && set != "everything"), "{set}: {alert}");
            }
            watched += usize::from(name(job) == "sentry");
        }
    });
    assert!(watched > 0 || python().is_none(), "another name is not tried");
}

#[test]
fn alerts_and_the_dashboard_are_those_of_the_files() {
    let Some(python) = python() else { return };
    let manifests = sound(&python, "production", &json!({}));
    let alerts = super::yaml(&python, "helm/countersign/files/alerts.yaml");
    let groups = &manifests.the("PrometheusRule")["spec"]["groups"];
    assert_eq!(groups.as_array().unwrap().len(), alerts["groups"].as_array().unwrap().len());
    let rules = |groups: &Value| -> Vec<Value> {
        let rules = items(groups).flat_map(|group| items(&group["rules"]).cloned().collect::<Vec<_>>());
        rules.map(|rule| json!([rule["alert"], rule["expr"], rule["annotations"]["summary"]])).collect()
    };
    let bound = rules(&alerts["groups"]).into_iter().map(|rule| {
        let [name, expression, summary] = [0, 1, 2].map(|part| said(&rule[part]));
        let own = "{job=\"auth-countersign\",namespace=\"identity\"";
        json!([name, expression.replace("{job=\"countersign\"", own), summary])
    });
    assert_eq!(rules(groups), bound.collect::<Vec<_>>());
    let dashboard = manifests.named("ConfigMap", "auth-countersign-dashboard").unwrap();
    let shown: Value = serde_json::from_str(dashboard["data"]["countersign.json"].as_str().unwrap()).unwrap();
    assert_eq!(shown, serde_json::from_str::<Value>(&text("helm/countersign/files/dashboard.json")).unwrap());
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");
}
