//! How an installation changes: pods are replaced where what they read changes, and the database is migrated before.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::manifests::{Manifests, items, name, render, request, selects, sound};
use super::python;
use crate::deploy::chart::SETS;

/// What tells one state of the configuration from another: the variables of a pod, and the annotation about its secrets.
fn states(manifests: &Manifests) -> (BTreeMap<String, String>, Value) {
    let pod = &manifests.the("Deployment")["spec"]["template"];
    let sum = &pod["metadata"]["annotations"]["checksum/secret"];
    assert!(sum.is_string(), "{pod}");
    (Manifests::variables(pod), sum.clone())
}

#[test]
fn new_settings_and_secrets_replace_the_pods() {
    let Some(python) = python() else { return };
    let of = |values: Value| states(&sound(&python, "ha-sentinel", &values));
    let before = of(json!({}));
    assert_eq!(of(json!({})), before);
    assert_eq!(of(json!({"replicaCount": 5, "podLabels": {"a": "b"}})), before, "more pods are no other pods");
    let settings = of(json!({"config": {"otp": {"length": 8}}}));
    assert!(settings.0 != before.0 && settings.1 == before.1);
    let secret = of(json!({"secrets": {"notify": {"webhook": {"secret": {"value": "another"}}}}}));
    assert!(secret.0 == before.0 && secret.1 != before.1);
}

#[test]
fn who_migrates_is_one_of_three() {
    let Some(python) = python() else { return };
    for (mode, by_servers, jobs) in [("job", "false", 1), ("server", "true", 0), ("none", "false", 0)] {
        let manifests = sound(&python, "default", &json!({"migrations": {"mode": mode}}));
        let variables = Manifests::variables(&manifests.the("Deployment")["spec"]["template"]);
        assert_eq!(variables["COUNTERSIGN__DATABASE__MIGRATE"], by_servers, "{mode}");
        assert_eq!(manifests.of("Job").len(), jobs, "{mode}");
        assert_eq!(manifests.notes.contains("Nobody migrates"), mode == "none", "{}", manifests.notes);
    }
}

/// A hook runs before anything else of the release is there: it may stand on what is a hook itself and comes earlier, and on
/// what others have made.
#[test]
fn the_migration_needs_nothing_that_comes_after_it() {
    let Some(python) = python() else { return };
    let requests: Vec<_> =
        SETS.iter().map(|set| request(set, &json!({"migrations": {"mode": "job"}}), false)).collect();
    let (mut tried, mut policed) = (0, 0);
    for (set, rendered) in SETS.iter().zip(render(&python, &requests)) {
        // A trial has a database that no job reaches.
        let Ok(manifests) = rendered else {
            assert_eq!(*set, "minimal");
            continue;
        };
        let job = manifests.the("Job");
        let weight = |manifest: &Value| -> i64 {
            let annotations = &manifest["metadata"]["annotations"];
            assert_eq!(annotations["helm.sh/hook"], "pre-install,pre-upgrade", "{set}: {}", name(manifest));
            annotations["helm.sh/hook-weight"].as_str().unwrap().parse().unwrap()
        };
        let earlier = |kind: &str, wanted: &str| {
            if let Some(found) = manifests.named(kind, wanted) {
                assert!(weight(found) < weight(job), "{set}: {kind} {wanted}");
            }
        };
        let pod = &job["spec"]["template"];
        assert_eq!(pod["spec"]["containers"][0]["args"], json!(["migrate"]));
        earlier("ServiceAccount", pod["spec"]["serviceAccountName"].as_str().unwrap());
        for (secret, _) in Manifests::files(pod).values() {
            earlier("Secret", secret);
        }
        let policies = manifests
            .of("NetworkPolicy")
            .into_iter()
            .filter(|policy| selects(&policy["spec"]["podSelector"]["matchLabels"], &pod["metadata"]["labels"]));
        for policy in policies {
            assert!(weight(policy) < weight(job), "{set}: where everything is forbidden, nothing allows the migration");
            policed += 1;
        }
        // cert-manager cannot have made it yet.
        let certificates =
            manifests.of("Certificate").into_iter().map(|certificate| &certificate["spec"]["secretName"]);
        let certificates: Vec<_> = certificates.collect();
        let volumes = items(&pod["spec"]["volumes"]).map(|volume| &volume["secret"]["secretName"]);
        assert!(volumes.into_iter().all(|secret| !certificates.contains(&secret)), "{set}");
        tried += 1;
    }
    assert_eq!((tried, policed), (SETS.len() - 1, SETS.len() - 1));
}
